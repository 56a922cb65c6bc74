"""Lines of the user's code that graph nodes carry as text, made visible to the tracer as frames.

The tracer finds the place of a call by walking the Python stack. A graph node only has the text of the stack it came
from (``node.meta["stack_trace"]``), so its op is called through a small function whose code object claims that file and
line: reports, assumptions and tracebacks then name the model's source, not the interpreter's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import FunctionType
from typing import Any

__all__ = ["Places"]

_ENTRY = re.compile(r'File "([^"]+)", line (\d+)(?:, in (\S+))?')
_TRACED = re.compile(r"^(.+)\((\d+)\): (\S+)$", re.MULTILINE)  # torch.jit.trace writes these, innermost first
_TORCH = re.compile(r"(^|[/\\])torch[/\\]")
_MODULES = re.compile(r"(^|[/\\])torch[/\\]nn[/\\]modules[/\\]")

Caller = Callable[[Callable[..., Any], Any, Any], Any]


def _call(func: Callable[..., Any], args: Any, kwargs: Any) -> Any: return func(*args, **kwargs)  # fmt: skip


class Places:
    """Callers by stack text, each made once."""

    def __init__(self) -> None:
        self._callers: dict[str, Caller] = {}

    def caller(self, stack_trace: str | None) -> Caller:
        """A function that calls ``func(*args, **kwargs)`` from the innermost line of the model in the text."""
        if not stack_trace:
            return _call
        found = self._callers.get(stack_trace)
        if found is None:
            place = innermost(stack_trace)
            found = self._callers[stack_trace] = _call if place is None else _from(*place)
        return found


def innermost(stack_trace: str) -> tuple[str, int, str] | None:
    """File, line and function of the innermost line that is the model's, else of one in ``torch.nn.modules``.

    >>> innermost('File "net.py", line 7, in forward\\n  File "/x/torch/nn/modules/linear.py", line 9, in forward')
    ('net.py', 7, 'forward')
    >>> innermost('net.py(8): forward\\n/x/torch/nn/modules/module.py(1768): _slow_forward')
    ('net.py', 8, 'forward')
    """
    text = stack_trace.partition("Serialized")[0]  # what follows are lines of the code TorchScript wrote itself
    found = _ENTRY.findall(text) or _TRACED.findall(text)[::-1]
    entries = [(file, int(line), name or "forward") for file, line, name in found if not file.startswith("<")]
    users = [e for e in entries if not _TORCH.search(e[0])]
    modules = [e for e in entries if _MODULES.search(e[0])]
    return users[-1] if users else modules[-1] if modules else None


def _from(file: str, line: int, name: str) -> Caller:
    code = _call.__code__.replace(co_filename=file, co_firstlineno=line, co_name=name, co_qualname=name)
    return FunctionType(code, {})
