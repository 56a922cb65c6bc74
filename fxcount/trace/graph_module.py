"""A ``torch.fx.GraphModule`` that writes its code when somebody first asks for it.

Most who want the graph of a large model walk its nodes; torch takes longer over the Python code than over the graph. The code
is written before the first call, and wherever else it can be seen: ``code``, ``forward`` of the module or of its class,
``print``, pickle. After ``recompile()`` it is as any other graph module.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch.fx

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.fx.graph import PythonCode

__all__ = ["GraphModule"]


class _Forward:
    """Stands where torch puts the generated function; torch makes a class for each graph module, so that there is room."""

    def __get__(self, module: GraphModule | None, owner: type[GraphModule]) -> Any:
        found = owner.own() if module is None else module
        if found is None:  # the base class, of which there is no module
            return self
        found.recompile()
        return found.forward if module is not None else owner.forward


class GraphModule(torch.fx.GraphModule):
    """See the module's own words.

    >>> graph = torch.fx.symbolic_trace(torch.nn.ReLU()).graph
    >>> module = GraphModule(torch.nn.Identity(), graph)
    >>> "_code" in vars(module), module(torch.tensor([-1.0, 2.0])), "_code" in vars(module)
    (False, tensor([0., 2.]), True)
    """

    __jit_unused_properties__: list[str] = [*torch.fx.GraphModule.__jit_unused_properties__, "code"]  # noqa: RUF012
    forward: Any = _Forward()
    own: ClassVar[Callable[[], GraphModule | None]] = staticmethod(lambda: None)

    def __init__(self, root: torch.nn.Module | dict[str, Any], graph: torch.fx.Graph, class_name: str = "GraphModule") -> None:
        vars(self)["_waits"] = True
        super().__init__(root, graph, class_name)

    def recompile(self) -> PythonCode:
        if vars(self).pop("_waits", False):  # torch asks as soon as the graph is there
            type(self).own = staticmethod(weakref.ref(self))
            return cast("PythonCode", None)
        return super().recompile()

    def _written(self) -> None:
        if "_code" not in vars(self):
            self.recompile()

    @property
    def code(self) -> str:
        self._written()
        return super().code

    def __str__(self) -> str:
        self._written()
        return super().__str__()

    def __reduce__(self) -> Any:
        self._written()
        return super().__reduce__()
