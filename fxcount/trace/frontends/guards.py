"""What an exported program assumes of sizes, read from the text ``torch.export`` keeps of it: ``L['x'].size()[1] % 2 == 0``.

The text is Python that ``torch`` would run. Here it is only read: comparisons of integers and sizes of inputs, with ``and``
between them. Of what says more the sizes are taken as they are in the example.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from fxcount.errors import SizeError
from fxcount.symbolic import Expr, Size, parse, substitute
from fxcount.trace.inputs.specs import InputSpec
from fxcount.trace.torch_guards import Guard

__all__ = ["guards_in"]

Inputs = Mapping[str, InputSpec | Size]
"""What a placeholder is, by its name: a tensor, or an integer of the call."""

_MAX_LENGTH = 10_000
_RELATIONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.GtE: ">=", ast.Gt: ">", ast.LtE: "<=", ast.Lt: "<",
}  # fmt: skip


def guards_in(texts: Iterable[str], inputs: Inputs) -> list[Guard]:
    """Guards in the sizes of these inputs.

    >>> from fxcount.trace.inputs.specs import parse_inputs
    >>> found = guards_in(["L['x'].size()[1] % 2 == 0 and 3 < L['x'].size()[1]"], {"x": parse_inputs("B,S")})
    >>> [(str(left), g.relation, str(right)) for g in found for left, right in [g.sizes]]
    [('S - 2*floor(S/2)', '==', '0'), ('3', '<', 'S')]
    >>> guards_in(["math.sqrt(L['x'].size()[0]) > 2"], {"x": parse_inputs("B,S")})
    [Guard(relation='', sizes=(B,))]
    """
    return [guard for text in texts for guard in _guards(text, inputs)]


def _guards(text: str, inputs: Inputs) -> list[Guard]:
    try:
        if len(text) > _MAX_LENGTH:
            raise SizeError("a guard is too long")
        tree = ast.parse(text.strip(), mode="eval").body
        sizes: dict[str, Size] = {}
        named = _Named(inputs, sizes).visit(tree)
        return list(_relations(named, sizes))
    except (SizeError, SyntaxError, ValueError, RecursionError, MemoryError):
        return [Guard("", tuple(_mentioned(text, inputs)))]


def _relations(node: ast.expr, sizes: Mapping[str, Size]) -> Iterator[Guard]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for part in node.values:
            yield from _relations(part, sizes)
        return
    if not isinstance(node, ast.Compare):
        raise SizeError("no comparison")
    sides = [_size(side, sizes) for side in (node.left, *node.comparators)]
    for op, left, right in zip(node.ops, sides[:-1], sides[1:], strict=True):
        if type(op) not in _RELATIONS:
            raise SizeError("no comparison of sizes")
        yield Guard(_RELATIONS[type(op)], (left, right))


def _size(node: ast.expr, sizes: Mapping[str, Size]) -> Size:
    found = parse(ast.unparse(node))
    return substitute(found, dict(sizes)) if isinstance(found, Expr) else found


class _Named(ast.NodeTransformer):
    """Puts a name in the place of each size of an input, and remembers which."""

    def __init__(self, inputs: Inputs, sizes: dict[str, Size]) -> None:
        self.inputs, self.sizes = inputs, sizes

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        size = _size_of(node, self.inputs)
        if size is None:
            raise SizeError("no size of an input")
        name = f"s{len(self.sizes)}"
        self.sizes[name] = size
        return ast.Name(name)


def _size_of(node: ast.Subscript, inputs: Inputs) -> Size | None:
    """``L['x'].size()[1]`` and ``L['n']``, where ``L`` are the arguments of the call, as what the placeholder has there."""
    match node:
        case ast.Subscript(ast.Call(ast.Attribute(tensor, "size"), [], []), ast.Constant(int(dim))):
            spec = inputs.get("_".join(_path(tensor)))
            return spec.shape[dim] if isinstance(spec, InputSpec) and dim < len(spec.shape) else None
    number = inputs.get("_".join(_path(node)))
    return number if isinstance(number, (int, Expr)) else None


def _path(node: ast.expr) -> list[str]:
    keys: list[str] = []
    while isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        keys.insert(0, str(node.slice.value))
        node = node.value
    return keys if isinstance(node, ast.Name) and node.id == "L" else []


def _mentioned(text: str, inputs: Inputs) -> list[Size]:
    """Sizes a guard speaks of; of one that cannot be read at all those of every input."""
    try:
        parts = list(ast.walk(ast.parse(text[:_MAX_LENGTH].strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        parts = []
    found = [_size_of(node, inputs) for node in parts if isinstance(node, ast.Subscript)]
    sizes = [s for s in found if s is not None] or [s for given in inputs.values() for s in _sizes(given)]
    return [s for s in dict.fromkeys(sizes) if isinstance(s, Expr)]


def _sizes(given: InputSpec | Size) -> tuple[Size, ...]:
    return given.shape if isinstance(given, InputSpec) else (given,)
