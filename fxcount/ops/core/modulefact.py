"""What a rule for a class of modules knows of the module that is called: its settings, and facts for its tensors.

>>> layer = ModuleFact.of(torch.nn.Linear(3, 5))
>>> layer.class_name, layer.out_features, layer.names[-2:]
('Linear', 5, ('weight', 'bias'))
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.ops.core.arguments import Scalar
from fxcount.ops.core.tree import Node

__all__ = ["ModuleFact"]

_PLAIN = (int, float, bool, str, type(None), torch.dtype, torch.device)


@dataclass(frozen=True, slots=True)
class ModuleFact(Node):
    """A module by its class's name, its plain attributes, and its parameters and buffers (also those of modules inside it).

    Attributes are read as the module's own: ``layer.out_features``, ``layer.weight``; what is further inside by its name,
    ``layer["norm.weight"]``. Two modules with equal settings and tensors of equal facts are equal.
    """

    class_name: str
    names: tuple[str, ...]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, module: torch.nn.Module) -> ModuleFact:
        """Of a module, with its real tensors."""
        found: dict[str, Any] = {k: v for k, v in vars(module).items() if not k.startswith("_") and _is_plain(v)}
        found.update(module.named_parameters(remove_duplicate=False))
        found.update(module.named_buffers(remove_duplicate=False))
        return cls(type(module).__name__, tuple(found), tuple(found.values()))

    @property
    def kind(self) -> tuple[str, tuple[str, ...]]:
        """The class's name and the names of what it has."""
        return self.class_name, self.names

    def parts(self) -> tuple[Any, ...]:
        """Its settings and tensors, in the order of ``names``."""
        return self.values

    def of_parts(self, parts: Iterator[Any]) -> ModuleFact:
        """The same module with other settings and tensors."""
        return ModuleFact(self.class_name, self.names, tuple(parts))

    def __getitem__(self, name: str) -> Any:
        if name not in self.names:
            known = ", ".join(self.names)
            raise KeyError(f"{self.class_name} has no plain attribute, parameter or buffer {name!r}, but {known}")
        return self.values[self.names.index(name)]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None


def _is_plain(value: Scalar) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)
