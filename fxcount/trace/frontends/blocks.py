"""A flat graph cut into nested module calls, by the module stacks its nodes carry.

``node.meta["nn_module_stack"]`` lists the modules that were running when the node was made, one key for each *call*
(``lin``, ``lin@1``). Consecutive nodes under one key are one call of that module. A few nodes of the caller that a graph
pass moved in between (sizes, checks) do not end the call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import field

from torch.fx import Node

from fxcount.dataclass import dataclass

__all__ = ["Block", "Frame", "clean_path", "cut", "is_guard", "module_stack"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One module call on a node's stack: a key that tells calls apart, the module's path and class name."""

    key: str
    path: str
    class_name: str


@dataclass(slots=True)
class Block:
    """One module call: its nodes and the calls inside, in order; the nodes it takes from outside and gives back.

    ``dies_after[i]``: nodes whose values nothing needs after item ``i``.
    """

    frame: Frame
    items: list[Node | Block] = field(default_factory=list)
    inputs: tuple[Node, ...] = ()
    outputs: tuple[Node, ...] = ()
    dies_after: list[tuple[Node, ...]] = field(default_factory=list)


def module_stack(node: Node) -> tuple[Frame, ...] | None:
    """The module calls around a node, outermost first, the model itself left out; ``None`` if it does not say.

    Keys, paths and classes differ between ``torch.export``, dynamo (``L['self'].layer``) and ``symbolic_trace``.
    """
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return None
    frames = []
    for key, (path, kind) in stack.items():
        if "_metadata_hook" in str(key):
            return None
        path = clean_path(str(path))
        if path:
            name = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
            frames.append(Frame(f"{key} {path}", path, name.rpartition(".")[2]))
    if node.op == "call_module" and frames and frames[-1].path == node.target:
        frames.pop()  # that module is called for real, and says so itself
    return tuple(frames)


def is_guard(node: Node) -> bool:
    """Whether the node calls the checks of input sizes that ``ExportedProgram.module()`` adds: no module of the model."""
    return node.op == "call_module" and node.target == "_guards_fn"


def clean_path(path: str) -> str:
    """``L['self'].layer1.0`` and ``L['fn']._modules['0'].act`` as paths of the model.

    >>> clean_path("L['self'].layer1.0"), clean_path("L['self']._modules['blocks']._modules['0']"), clean_path("layer1")
    ('layer1.0', 'blocks.0', 'layer1')
    """
    if path.startswith("L["):
        path = path[path.index("]") + 1 :]
    path = re.sub(r"\._(?:modules|parameters|buffers)\[['\"]([^'\"]+)['\"]\]", r".\1", path)
    path = re.sub(r"\[['\"]?([^'\"\]]+)['\"]?\]", r".\1", path)
    return path.strip(".")


def cut(nodes: Sequence[Node], outside: tuple[Frame, ...] = (), returned: Sequence[Node] = ()) -> Block:
    """The block of the whole graph; ``outside``: the module calls that are open around it already, ``returned``: the
    nodes whose values it gives back."""
    root = Block(Frame("", "", ""))
    open_blocks = [root]
    for node in nodes:
        if node.op in ("placeholder", "output"):
            continue
        stack = module_stack(node)
        if stack is None or node.op == "get_attr":
            open_blocks[-1].items.append(node)
            continue
        inside = stack[_common(stack, outside) :]
        depth = _common(inside, tuple(b.frame for b in open_blocks[1:]))
        del open_blocks[depth + 1 :]
        for frame in inside[depth:]:
            block = _reopened(open_blocks[-1], frame)
            if block is None:
                block = Block(frame)
                open_blocks[-1].items.append(block)
            open_blocks.append(block)
        open_blocks[-1].items.append(node)
    _connect(root, list(_inputs(nodes)), list(returned))
    return root


def _common(stack: tuple[Frame, ...], other: tuple[Frame, ...]) -> int:
    """How many outermost frames the two stacks share."""
    count = 0
    for a, b in zip(stack, other):
        if a != b:
            break
        count += 1
    return count


def _reopened(parent: Block, frame: Frame) -> Block | None:
    """The last call in ``parent`` if it is this one and only plain nodes came after it: these are taken into it."""
    for position in range(len(parent.items) - 1, -1, -1):
        item = parent.items[position]
        if isinstance(item, Block):
            if item.frame != frame:
                return None
            item.items.extend(parent.items[position + 1 :])
            del parent.items[position + 1 :]
            return item
    return None


def _inputs(nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        if node.op == "placeholder":
            yield node


def _connect(block: Block, inputs: list[Node], outputs: list[Node]) -> None:
    """Fill in what a block takes and gives, and when its values die."""
    block.inputs, block.outputs = tuple(inputs), tuple(outputs)
    needs = [_needs(item) for item in block.items]
    makes = [_makes(item) for item in block.items]
    keep = dict.fromkeys(outputs)
    last: dict[Node, int] = {}
    for i, (needed, made) in enumerate(zip(needs, makes, strict=True)):
        for node in (*made, *needed):
            last[node] = i
    block.dies_after = [()] * len(block.items)
    for node, i in last.items():
        if node not in keep:
            block.dies_after[i] = (*block.dies_after[i], node)
    for i, item in enumerate(block.items):
        if isinstance(item, Block):
            _connect(item, list(needs[i]), [n for n in makes[i] if n in keep or last[n] > i])


def _needs(item: Node | Block) -> dict[Node, None]:
    """Nodes from outside whose values the item uses, in order of use."""
    if isinstance(item, Node):
        return dict.fromkeys(item.all_input_nodes)
    found: dict[Node, None] = {}
    made: dict[Node, None] = {}
    for inner in item.items:
        for node in _needs(inner):
            if node not in made:
                found[node] = None
        made.update(_makes(inner))
    return found


def _makes(item: Node | Block) -> dict[Node, None]:
    if isinstance(item, Node):
        return {item: None}
    return {node: None for inner in item.items for node in _makes(inner)}
