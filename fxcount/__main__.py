# PYTHON_ARGCOMPLETE_OK
"""``python -m fxcount``."""

from fxcount.cli.main import main

raise SystemExit(main())
