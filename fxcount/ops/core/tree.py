"""Nested arguments and results: one walk over them, one map.

Containers are tuples (named ones too), lists, mappings, slices, and every :class:`Node`; everything else is a leaf.

>>> leaves(((1, [2]), {"a": 3}, slice(4, None, 5)))
[1, 2, 3, 4, None, 5]
>>> mapped(str, ((1, [2]), {"a": 3}))
(('1', ['2']), {'a': '3'})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.symbolic import Expr

__all__ = ["Node", "leaves", "mapped"]


class Node:
    """A container of a class of its own: ``parts`` are what is in it."""

    __slots__ = ()

    def parts(self) -> tuple[Any, ...]:
        """What is in it, in order."""
        raise NotImplementedError

    def of_parts(self, parts: Iterator[Any]) -> Any:
        """A container like it with other parts."""
        raise NotImplementedError

    @property
    def kind(self) -> Any:
        """What tells it from others of its class besides its parts; hashable."""
        return None


_LEAVES = frozenset({TensorFact, Alias, Expr, int, float, bool, str, type(None), torch.dtype, torch.device})
"""Kinds of nearly all leaves, told apart from containers without asking what they are instances of."""


def _is_mapping(tree: Any) -> bool:
    """Asked of classes that could be one: the first time, ``Mapping`` looks through all mappings of all libraries."""
    return type(tree) is dict or (hasattr(type(tree), "keys") and isinstance(tree, Mapping))


def leaves(tree: Any) -> list[Any]:
    """Everything in a tree that is no container, in order."""
    found: list[Any] = []
    _gather(tree, found)
    return found


def _gather(tree: Any, found: list[Any]) -> None:
    if isinstance(tree, (tuple, list)):
        if _LEAVES.issuperset(map(type, tree)):
            found += tree
            return
        for part in tree:
            if type(part) in _LEAVES:
                found.append(part)
            else:
                _gather(part, found)
    elif type(tree) in _LEAVES:
        found.append(tree)
    elif type(tree) is dict:
        for part in tree.values():
            _gather(part, found)
    elif isinstance(tree, slice):
        for part in (tree.start, tree.stop, tree.step):
            _gather(part, found)
    elif _is_mapping(tree):
        for part in tree.values():
            _gather(part, found)
    elif isinstance(tree, Node):
        for part in tree.parts():
            _gather(part, found)
    else:
        found.append(tree)


def mapped(leaf: Callable[[Any], Any], tree: Any, keep: bool = False) -> Any:
    """The tree with ``leaf`` of every leaf in its place.

    Containers come out as plain tuples, lists and dicts, so that nothing holds on to a class of the model's; with ``keep``
    named tuples stay what they are.

    >>> from collections import namedtuple
    >>> Pair = namedtuple("Pair", "x y")
    >>> mapped(abs, Pair(-1, [2])), mapped(abs, Pair(-1, [2]), keep=True)
    ((1, [2]), Pair(x=1, y=[2]))
    """
    if type(tree) in _LEAVES:
        return leaf(tree)
    if type(tree) is tuple:
        return tuple([leaf(part) if type(part) in _LEAVES else mapped(leaf, part, keep) for part in tree])
    if isinstance(tree, tuple):
        parts = [mapped(leaf, part, keep) for part in tree]
        return type(tree)(*parts) if keep and hasattr(tree, "_fields") else tuple(parts)
    if isinstance(tree, list):
        return [mapped(leaf, part, keep) for part in tree]
    if isinstance(tree, slice):
        bounds = tree.start, tree.stop, tree.step
        return slice(*[leaf(part) if type(part) in _LEAVES else mapped(leaf, part, keep) for part in bounds])
    if _is_mapping(tree):
        return {key: mapped(leaf, part, keep) for key, part in tree.items()}
    if isinstance(tree, Node):
        return tree.of_parts(mapped(leaf, part, keep) for part in tree.parts())
    return leaf(tree)
