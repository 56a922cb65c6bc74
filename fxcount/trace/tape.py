"""The trace: a flat list of calls in execution order, with the values, storages and modules they touch.

Everything here is plain data that holds no stand-in tensor alive. Passes read it; ``trace.lower`` turns it into a
``torch.fx.GraphModule``. Building fx nodes while tracing would cost more than the tracing itself (about 20 us a
node against 10 us a call), so the fx graph is made from the tape when it is asked for.
"""

from __future__ import annotations

import dis
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from types import CodeType, MethodDescriptorType, WrapperDescriptorType
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import torch

from fxcount.dataclass import dataclass
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.registry import Op
from fxcount.ops.core.remembered import Told
from fxcount.ops.core.tree import leaves
from fxcount.symbolic import Scope, Size
from fxcount.symbolic.floats import Program
from fxcount.trace.inputs.census import Fingerprint

__all__ = [
    "Call", "CustomFunction", "Declared", "Event", "Events", "Instruction", "ModuleCall", "Origin", "Signature", "Source",
    "State", "StorageInfo", "Trace", "Value", "Written", "once_each",
]  # fmt: skip

T = TypeVar("T")
Origin = Literal["op", "input", "parameter", "buffer", "constant", "kept"]
Written = Literal["function", "method", "operator"]
"""How a call stands in the source: ``torch.add(x, y)``, ``x.add(y)``, ``x + y``."""


class Value:
    """One tensor result (or input, parameter, buffer, constant) in single-assignment form."""

    __slots__ = ("call", "fact", "index", "name", "origin", "position", "requires_grad", "storage")

    def __init__(
        self, index: int, fact: TensorFact, storage: int, origin: Origin, name: str = "", call: int = -1,
        position: int | None = None, requires_grad: bool = False,
    ) -> None:  # fmt: skip
        self.index = index
        self.fact = fact
        self.storage = storage
        self.origin: Origin = origin
        self.name = name
        self.call = call
        self.position = position
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return f"%{self.name or self.index}"


class Signature:
    """An op applied to operand facts: all calls that look alike share one, so rules run once for each kind of call.

    ``told`` is what the shape rule has said, where other traces share it."""

    __slots__ = ("args", "kwargs", "op", "result", "times", "told")

    def __init__(
        self, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, times: Size = 1, told: Told | None = None
    ) -> None:
        self.op = op
        self.args = args
        self.kwargs = kwargs
        self.result = result
        self.times = times  # how often such a call runs: once, or in each step of a loop that is recorded once
        self.told = told


class Source:
    """A place in the user's code: a file, a line in it, and the name of the function there.

    >>> place = Source("net.py", 7, "forward")
    >>> str(place), place == Source("net.py", 7, "forward")
    ('net.py:7', True)
    """

    __slots__ = ("_place",)

    def __init__(self, file: str, line: int, function: str) -> None:
        self._place = (file, line, function)

    @property
    def file(self) -> str:
        return self._place[0]

    @property
    def line(self) -> int:
        return self._place[1]

    @property
    def function(self) -> str:
        return self._place[2]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def __repr__(self) -> str:
        return f"Source({self.file!r}, {self.line}, {self.function!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Source):
            return NotImplemented
        return (self.file, self.line, self.function) == (other.file, other.line, other.function)

    def __hash__(self) -> int:
        return hash((self.file, self.line, self.function))

    def __reduce__(self) -> tuple[type[Source], tuple[str, int, str]]:
        return Source, (self.file, self.line, self.function)


class Instruction(Source):
    """A place while its code is at hand: the line is looked up when asked for, as one of these is made for every call."""

    __slots__ = ("code", "lasti")

    def __init__(self, code: CodeType, lasti: int) -> None:
        self.code = code
        self.lasti = lasti

    @property
    def file(self) -> str:
        return self.code.co_filename

    @property
    def line(self) -> int:
        return _line(self.code, self.lasti)

    @property
    def function(self) -> str:
        return self.code.co_name

    def calls(self, name: str) -> bool:
        """Whether a method of this name is called here, and not an operator that stands for it."""
        return name in self.code.co_names and _opname(self.code, self.lasti).startswith("CALL")


def once_each(make: Callable[[Source], T]) -> Callable[[Source | None], T | None]:
    """``make``, asked once for each instruction: all calls made there have the same line. ``None`` of ``None``.

    >>> made = once_each(str)
    >>> made(Source("net.py", 7, "forward")), made(None)
    ('net.py:7', None)
    """
    known: dict[tuple[int, int], T] = {}

    def found(source: Source | None) -> T | None:
        if type(source) is not Instruction:
            return None if source is None else make(source)
        key = (id(source.code), source.lasti)
        if key not in known:
            known[key] = make(source)
        return known[key]

    return found


@functools.lru_cache(maxsize=4096)
def _line(code: CodeType, position: int) -> int:
    """Remembered: a long forward has a long table of lines, and views ask for the same few again and again."""
    for start, stop, number in code.co_lines():
        if start <= position < stop:
            return number or code.co_firstlineno
    return code.co_firstlineno


@functools.lru_cache(maxsize=4096)
def _opname(code: CodeType, position: int) -> str:
    return dis.opname[code.co_code[position]]


class ModuleCall:
    """One call of an ``nn.Module``: its path, which call of that module it is (the first is 1), and the calls inside."""

    __slots__ = (
        "class_name", "depth", "index", "inputs", "kind", "module_id", "number", "outputs", "parent", "path", "returned",
        "start", "stop", "times",
    )  # fmt: skip

    def __init__(
        self, index: int, module_id: int, path: str, class_name: str, number: int, parent: int, depth: int, start: int,
        kind: type[torch.nn.Module] | None = None, times: Size = 1,
    ) -> None:  # fmt: skip
        self.index = index
        self.module_id = module_id
        self.path = path
        self.class_name = class_name
        self.kind = kind  # the class itself; None if read from a file
        self.number = number
        self.parent = parent
        self.depth = depth
        self.start = start
        self.stop = start
        self.times = times  # how often it is called: once, or in each step of a loop that is recorded once
        self.inputs: tuple[TensorFact, ...] = ()
        self.outputs: tuple[TensorFact, ...] = ()
        self.returned: type | None = None  # the class of what it returned; None if read from a file

    def __repr__(self) -> str:
        return f"ModuleCall({self.path or '<model>'} #{self.number})"


class Call:
    """One executed op. ``args``/``kwargs`` are as the model wrote them, with :class:`Value` for tensors and
    :class:`~fxcount.symbolic.Expr` for symbolic sizes; ``operands`` are all its tensors, in order; ``mutated`` are the
    storages it wrote in place."""

    __slots__ = (
        "_written", "args", "func", "grad_enabled", "index", "kwargs", "module", "mutated", "operands", "outputs", "result",
        "signature", "source",
    )  # fmt: skip

    def __init__(
        self, index: int, func: Callable[..., Any], signature: Signature, args: tuple[Any, ...], kwargs: dict[str, Any],
        operands: tuple[Value, ...], module: int, source: Source | None, grad_enabled: bool,
    ) -> None:  # fmt: skip
        self.index = index
        self.func = func
        self.signature = signature
        self.args = args
        self.kwargs = kwargs
        self.operands = operands
        self.module = module
        self.source = source
        self.grad_enabled = grad_enabled
        self.outputs: tuple[Value, ...] = ()
        self.result: Any = None  # the outputs in the structure the op returned them
        self.mutated: tuple[int, ...] = ()

    @property
    def op(self) -> Op:
        return self.signature.op

    @property
    def written(self) -> Written:
        """As a function, a tensor's method or an operator: the three reach torch alike, and some tools see only one."""
        try:
            return self._written
        except AttributeError:
            self._written: Written = _written(self.func, self.source)
            return self._written

    @written.setter
    def written(self, how: Written) -> None:
        self._written = how

    def __repr__(self) -> str:
        return f"{list(self.outputs)} = {self.op.name}{self.args}"


def _written(func: Callable[..., Any], source: Source | None) -> Written:
    """Operators reach torch as the method of their name; the instruction in the model's code tells them apart."""
    if not isinstance(func, (MethodDescriptorType, WrapperDescriptorType)):
        return "function"
    return "method" if isinstance(source, Instruction) and source.calls(func.__name__) else "operator"


def values_in(tree: Any) -> list[Value]:
    """All values in nested arguments or outputs."""
    return [leaf for leaf in leaves(tree) if type(leaf) is Value]


class Quotient(float):
    """A float argument that is a quotient of sizes, where its value decides no shape: the value at the sample values.

    ``exact``: nothing but sizes and short fractions took part, so that what follows from the fraction follows from the float;
    else a number like pi did, which the fraction has in full length, and the float may differ from it in its last digits.
    ``program``: how Python computes what is no fraction, a root or a logarithm; ``den`` is 0 then.
    """

    num: Size
    den: Size
    exact: bool
    program: Program | None

    @classmethod
    def of(cls, num: Size, den: Size, value: float, exact: bool = True, program: Program | None = None) -> Quotient:
        made = cls(value)
        made.num, made.den, made.exact, made.program = num, den, exact, program
        return made


@dataclass(slots=True)
class StorageInfo:
    """Memory that one or more values share: bytes, what kind of tensor it holds, and when it came.

    A copy that is a view at some sizes has no bytes there, and ``keeps`` what it is a view of: storages of the origin "kept",
    born when the storage they stand ``of`` dies, and with bytes at just those sizes.
    """

    nbytes: Size
    origin: Origin
    name: str = ""
    born: int = -1  # index of the call, -1 for what exists before the first
    of: int = -1
    keeps: tuple[int, ...] = ()


class Event(NamedTuple):
    """Birth or death of a storage; ``call`` is the call it belongs to, -1 before the first."""

    storage: int
    birth: bool
    call: int


@dataclass(frozen=True, slots=True)
class Events:
    """Births and deaths in order, as recorded: ``log`` has the number of the storage that was born, or ``~number`` of the
    one that died; ``marks[i]`` is the length of the log when call ``i`` began."""

    log: tuple[int, ...] = ()
    marks: tuple[int, ...] = ()

    @classmethod
    def of(cls, events: Iterable[Event], calls: int = 0) -> Events:
        """From single events in order, of at least so many ``calls``."""
        log: list[int] = []
        marks: list[int] = []
        for storage, birth, call in events:
            marks.extend([len(log)] * (call + 1 - len(marks)))
            log.append(storage if birth else ~storage)
        marks.extend([len(log)] * (calls - len(marks)))
        return cls(tuple(log), tuple(marks))

    def __iter__(self) -> Iterator[Event]:
        for call, entries in self.by_call():
            for entry in entries:
                yield Event(entry, True, call) if entry >= 0 else Event(~entry, False, call)

    def by_call(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The entries of the log that belong to each call, those before the first (-1) first."""
        start = 0
        for call, stop in enumerate((*self.marks, len(self.log)), -1):
            yield call, self.log[start:stop]
            start = stop


@dataclass(slots=True, eq=False)
class State:
    """A parameter, buffer or constant tensor of the model, identified by its tensor object."""

    value: Value
    names: tuple[str, ...]
    tensor: torch.Tensor = field(repr=False)
    persistent: bool = True


class Declared(NamedTuple):
    """A parameter or buffer the model registers, used or not; ``storage`` and ``offset``: where it begins;
    ``shadowed_by``: a plain attribute that hides it, or that is computed with in its place; ``strides`` of ``None``: dense
    row-major."""

    kind: Literal["parameter", "buffer"]
    names: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype
    requires_grad: bool
    storage: int
    offset: int
    persistent: bool = True
    shadowed_by: str = ""
    strides: tuple[int, ...] | None = None
    stored: tuple[int, int] | None = None  # of a sparse tensor: its stored elements, and the bytes of their indices
    held: int | None = None  # bytes in memory, where these are not those of the elements: packed, or with scales
    precision: str = ""  # of a tensor that holds less than its dtype says: the dtype in which it is multiplied
    quantises: str = ""  # the dtype to which it brings the other factor of a product
    local: int | None = None  # bytes of the part that this rank has of a distributed tensor

    @property
    def numel(self) -> int:
        return math.prod(self.shape) if self.stored is None else self.stored[0]

    @property
    def span(self) -> int:
        """Elements of the storage from its first to its last."""
        if self.strides is None or not self.numel:
            return self.numel
        return 1 + sum([(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)])


@dataclass(frozen=True, slots=True)
class CustomFunction:
    """One call of a ``torch.autograd.Function``: its own backward takes gradients from its results to its inputs, past the
    calls ``start`` to ``stop`` inside, which ran without gradients. Or, named ``SCRIPTED``, one call of a function that
    TorchScript has compiled, of which the calls inside are recorded as those of any other."""

    SCRIPTED: ClassVar[str] = "torch.jit function"

    name: str
    start: int
    stop: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    @property
    def is_scripted(self) -> bool:
        """Whether it is a compiled function of TorchScript's, and no ``torch.autograd.Function``."""
        return self.name == self.SCRIPTED


@dataclass(slots=True)
class Trace:
    """What one symbolic run of the model recorded."""

    model_name: str
    scope: Scope
    inputs: list[Value]
    calls: list[Call]
    modules: list[ModuleCall]
    states: list[State]
    storages: list[StorageInfo]
    events: Events
    outputs: Any
    module_paths: dict[str, str]  # path -> class name, also of modules that are never called
    signatures: list[Signature]
    declared: tuple[Declared, ...] = ()
    frontend: str = "trace"
    input_tree: Any = None
    notes: list[str] = field(default_factory=list)
    executable: bool = True  # False if read from a file, which holds neither data nor code
    functions: tuple[CustomFunction, ...] = ()
    aliases: tuple[tuple[str, ...], ...] = ()  # paths of each module that is registered under several
    queries: dict[str, tuple[str, Source | None]] = field(default_factory=dict)  # parameter -> metadata read of it, where
    reassigned: tuple[str, ...] = ()  # buffers in whose place the forward put another tensor
    unseen: str = ""  # where the model asks for the identity of a size, of which nobody is told
    guessed_inputs: str = ""  # what speaks for the inputs, where nobody gave them
    ended: str = ""  # why nothing was traced after the last call: what the forward raised, and where
    training: bool | None = None  # the mode the model was in; None for a graph, in which it is decided
    fingerprint: Fingerprint = field(default_factory=Fingerprint)  # of the model as it ran, by which it is known again

    @property
    def custom_functions(self) -> tuple[CustomFunction, ...]:
        """Those of the functions that have a backward of their own."""
        return tuple([f for f in self.functions if not f.is_scripted])

    def values_out(self) -> tuple[Value, ...]:
        """The values that leave the model."""
        return tuple(values_in(self.outputs))
