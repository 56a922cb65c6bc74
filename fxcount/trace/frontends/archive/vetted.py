"""The JSON of an exported program, with nothing in it that would run.

``torch`` writes node names into generated code, looks operators up as attributes of ``torch``, imports what output structures
name, and evaluates sizes. So each text has to be what its place calls for: a name, an operator, a size, a structure, or text
that is only ever text. Metadata but for module stacks and source lines is left out, and so is code for guards,
whose text is read by ``frontends.guards``.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from typing import Any

import torch

from fxcount import torch_private
from fxcount.errors import InputError
from fxcount.ops import REGISTRY
from fxcount.trace.frontends import higher_order
from fxcount.trace.frontends.archive.formulas import why_no_formula
from fxcount.trace.frontends.archive.records import refused

__all__ = ["Vetter"]

MAX_DEPTH = 200
MAX_NUMBER = 1 << 64
MAX_BITS = 1 << 13
MAX_GUARDS = 10_000

_TEXT = frozenset(
    "as_string as_strings parameter_name buffer_name tensor_constant_name custom_obj_name user_input_name fqn class_fqn "
    "torch_version verifiers field_names".split()
)
"""Fields whose text is a key or an argument, and is never looked up nor written into code."""

_OPERATORS = frozenset(
    "add sub mul truediv floordiv mod pow neg pos abs eq ne lt le gt ge and_ or_ not_ lshift rshift getitem".split()
)
_MATH = frozenset("ceil floor trunc sqrt".split())
_VMAP = frozenset("_add_batch_dim _remove_batch_dim _vmap_increment_nesting _vmap_decrement_nesting".split())
_OVERLOAD = re.compile(r"torch\.ops\.([A-Za-z]\w*)\.(\w+)\.(\w+)")
_HIGHER = re.compile(r"torch\.ops\.higher_order\.(\w+)")
_SYMBOLIC = re.compile(r"torch\._?sym_\w+")
_LINE = re.compile(r'File "([^"\n\x00]{1,4000}\.py)", line (\d{1,7})(?:, in ([^\s\x00]{1,200}))?')
_FACTORIES = {"builtins": {"list", "dict", "int", "float", "set", "tuple", "bool", "str"}, "collections": {"OrderedDict"}}


class Vetter:
    """Checks one file. ``program`` returns the JSON that ``torch`` may read.

    Raises :class:`~fxcount.errors.InputError` for what would need trust.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.bits: dict[str, int] = {}  # of the numbers that nodes compute, by name, at most
        self.known: set[str] = set()  # operators that passed
        self.guards: list[str] = []  # texts that are read, and that torch gets nothing of
        self._fields: dict[str, Callable[[Any], Any]] = {
            "target": self.operator, "as_operator": self.operator, "expr_str": self.formula, "in_spec": self.structure,
            "out_spec": self.structure, "metadata": self.metadata, "guards_code": self.left_out, "nodes": self.nodes,
            "range_constraints": self.ranges,
        }  # fmt: skip

    def program(self, plain: Any) -> Any:
        """The same program without what is not needed."""
        if not isinstance(plain, dict):
            raise self.damaged("the program is no JSON object")
        return self.field("", plain, 0)

    def damaged(self, what: str) -> InputError:
        return InputError(f"{self.path!r} is no exported program, or a damaged one: {what}")

    def field(self, name: str, value: Any, depth: int) -> Any:
        """What may stand in a field of this name."""
        if depth > MAX_DEPTH:
            raise self.damaged(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            return {k: self._fields[k](v) if k in self._fields else self.field(k, v, depth + 1) for k, v in value.items()}
        if isinstance(value, list):
            return [self.field(name, v, depth + 1) for v in value]
        if isinstance(value, str):
            if name in _TEXT or not value or value.isidentifier() or value == "-Infinity":
                return value
            raise refused(self.path, f"the text {value[:80]!r} as {name!r}", "names of a graph become code when it is built")
        if isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise self.damaged(f"a number of {value.bit_length()} bits as {name!r}")
        return value

    # -- nodes --------------------------------------------------------------------------------------------------------
    def nodes(self, nodes: Any) -> Any:
        if not isinstance(nodes, list):
            raise self.damaged("the nodes are no list")
        found = []
        for node in nodes:
            if not isinstance(node, dict):
                raise self.damaged("a node is no object")
            vetted = self.field("node", node, 1)
            self._numbers(vetted)
            found.append(vetted)
        return found

    def operator(self, target: Any) -> str:
        """An operator of ``torch`` that computes tensors or sizes, and nothing that is only an attribute of ``torch``."""
        if not isinstance(target, str):
            raise self.damaged("an operator is no text")
        if target not in self.known:
            if not self._is_operator(target):
                raise refused(self.path, f"a call of {target[:120]!r}", "it is no operator on tensors that anybody registered")
            self.known.add(target)
        return target

    def _is_operator(self, target: str) -> bool:
        home, _, name = target.rpartition(".")
        if home in _HOMES:
            return name in _HOMES[home]
        if _SYMBOLIC.fullmatch(target):
            return callable(getattr(torch, name, None))
        match = _HIGHER.fullmatch(target)
        if match:
            return higher_order.handler(getattr(torch.ops.higher_order, match[1], None)) is not None
        match = _OVERLOAD.fullmatch(target)
        return match is not None and _computes(match[1], match[2], match[3])

    def _numbers(self, node: Any) -> None:
        """Bound the numbers a node of size arithmetic computes: products of products grow without end."""
        home, _, name = str(node.get("target", "")).rpartition(".")
        if home not in ("_operator", "math") or name == "getitem":
            return
        operands = [self._operand(i) for i in node.get("inputs") or ()]
        if name in ("pow", "lshift"):
            exponent = _literal(node["inputs"][1]) if len(operands) == 2 else None
            if exponent is None or abs(exponent) > 64:
                raise self.damaged(f"the node {node.get('name')!r} computes a power whose exponent is no small number")
            bits = operands[0] * max(1, int(abs(exponent))) if name == "pow" else operands[0] + int(abs(exponent))
        else:
            bits = sum(operands) if name == "mul" else max(operands, default=1) + 1
        if bits > MAX_BITS:
            raise self.damaged(f"the node {node.get('name')!r} computes a number of more than {MAX_BITS:,} bits")
        for made in _names(node.get("outputs")):
            self.bits[made] = bits

    def _operand(self, given: Any) -> int:
        (kind, value), *_ = (given.get("arg") or {"": None}).items() if isinstance(given, dict) else [("", None)]
        if kind == "as_int" and isinstance(value, int):
            return value.bit_length()
        if kind in ("as_float", "as_bool"):
            return 64
        names = _names([{kind: value}])
        if kind in ("as_sym_int", "as_sym_float", "as_sym_bool", "as_tensor"):
            return max([self.bits.get(n, 64) for n in names], default=64)
        raise self.damaged(f"a node of size arithmetic has an operand of the kind {kind!r}")

    # -- the rest -----------------------------------------------------------------------------------------------------
    def formula(self, text: Any) -> str:
        why = why_no_formula(text) if isinstance(text, str) else "no text"
        if why:
            raise refused(self.path, f"the size {str(text)[:80]!r}", f"{why}; torch would evaluate it as Python")
        found: str = text
        return found

    def left_out(self, guards: Any) -> list[str]:
        """Guards are code to torch, which gets none; what they say of sizes is read from the text."""
        if guards is not None and not (isinstance(guards, list) and all(isinstance(text, str) for text in guards)):
            raise self.damaged("its guards are no list of texts")
        self.guards += (guards or [])[:MAX_GUARDS]
        return []

    def ranges(self, given: Any) -> Any:
        if not isinstance(given, dict):
            raise self.damaged("the ranges of its symbols are no object")
        return {self.formula(k): self.field("range", v, 1) for k, v in given.items()}

    def metadata(self, given: Any) -> dict[str, str]:
        """Module stacks and source lines; the rest names Python objects that would be looked up."""
        if not isinstance(given, dict):
            return {}
        found = {}
        stack, lines = given.get("nn_module_stack"), given.get("stack_trace")
        if isinstance(stack, str) and all(_parts(entry) == 3 for entry in stack.split(";")):
            found["nn_module_stack"] = stack
        if isinstance(lines, str):
            kept = [f'File "{file}", line {line}, in {name or "forward"}' for file, line, name in _LINE.findall(lines)]
            found["stack_trace"] = "\n".join(kept)
        return found

    def structure(self, text: Any) -> str:
        """The structure of inputs or outputs, as ``torch.utils._pytree`` writes it."""
        try:
            _, spec = json.loads(text)
            self._node_of(spec, 0)
        except InputError:
            raise
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise self.damaged("the structure of its inputs or outputs cannot be read") from error
        found: str = text
        return found

    def _node_of(self, spec: dict[str, Any], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self.damaged(f"outputs nested deeper than {MAX_DEPTH} levels")
        context = spec["context"]
        with contextlib.suppress(TypeError, ValueError):  # no JSON: a name
            context = json.loads(context)
        self._context(context)
        for child in spec["children_spec"]:
            self._node_of(child, depth + 1)

    def _context(self, context: Any) -> None:
        if isinstance(context, dict) and "__enum__" in context:
            raise refused(self.path, "an enumeration among the keys of its outputs", "torch would import the module it names")
        if isinstance(context, dict) and "default_factory_module" in context:
            home, name = context["default_factory_module"], context.get("default_factory_name")
            if name not in _FACTORIES.get(str(home), ()):
                raise refused(self.path, f"a defaultdict of {home}.{name}", "torch would import that module")
        for part in context.values() if isinstance(context, dict) else context if isinstance(context, list) else ():
            self._context(part)


_HOMES = {"_operator": _OPERATORS, "math": _MATH, torch_private.PREDISPATCH: _VMAP}


def _computes(namespace: str, name: str, overload: str) -> bool:
    """Whether there is such an overload and it takes tensors, or fxcount knows it: ``aten::save`` and ``from_file`` do not."""
    found = getattr(getattr(getattr(torch.ops, namespace, None), name, None), overload, None)
    if not isinstance(found, torch_private.OpOverload):
        return False
    if REGISTRY.get(found) is not None or higher_order.handler(found) is not None:
        return True
    return any("Tensor" in str(a.type) for a in torch_private.schema(found).arguments)


def _literal(given: Any) -> int | float | None:
    arg = given.get("arg") if isinstance(given, dict) else None
    value = next(iter(arg.values()), None) if isinstance(arg, dict) else None
    return value if isinstance(value, (int, float)) else None


def _names(arguments: Any) -> list[str]:
    found = []
    for argument in arguments or ():
        value = next(iter(argument.values()), None) if isinstance(argument, dict) else None
        name = (value.get("as_name") or value.get("name")) if isinstance(value, dict) else None
        if isinstance(name, str):
            found.append(name)
    return found


def _parts(entry: str) -> int:
    """Parts between commas outside of brackets."""
    depth, parts = 0, 1
    for c in entry:
        depth += (c in "[(") - (c in ")]")
        parts += c == "," and not depth
    return parts
