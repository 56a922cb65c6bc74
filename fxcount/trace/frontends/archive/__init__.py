"""``.pt2`` files read as data: no pickle, no ``eval``, no import, no code of the file's.

``torch.export.load`` trusts a file: it unpickles the sample inputs, evaluates formulas as Python, imports modules that output
structures name, loads compiled libraries, and takes any attribute of ``torch`` for an operator. ``records`` reads the zip,
``vetted`` lets through only what a program needs, ``formulas`` says what a size may be, ``weights`` maps tensors from the file.
"""
