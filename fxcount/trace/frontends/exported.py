"""``torch.export.ExportedProgram``, before or after decompositions, and ``.pt2`` files.

The program's graph is flat and its parameters are inputs; what it was made from is restored from its signature and its
nodes: parameters under their original names (tied ones under all of theirs), modules, source lines, symbolic sizes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fxcount import torch_private
from fxcount.errors import InputError, UnsupportedError
from fxcount.ops import REGISTRY, Registry
from fxcount.symbolic import Expr
from fxcount.torch_private import pytree
from fxcount.trace.frontends.blocks import module_stack
from fxcount.trace.frontends.guards import guards_in
from fxcount.trace.frontends.inputs import renamed_inputs
from fxcount.trace.frontends.modules import Root, hold, identity, model_class, module_at, named_class
from fxcount.trace.frontends.program import Program
from fxcount.trace.frontends.sizes import TorchSizes
from fxcount.trace.inputs.specs import InputSpec, parse_inputs
from fxcount.trace.tape import Trace

__all__ = ["flat_inputs", "program_of", "trace_exported"]


def trace_exported(
    program: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, *,
    hints: Mapping[str, int] | None = None, registry: Registry = REGISTRY, progress: Callable[[int], None] | None = None,
) -> Trace:  # fmt: skip
    """Trace an exported program. Without inputs its own sizes are used, with them these take their place."""
    prepared = program_of(program)
    if args or kwargs:
        renamed_inputs(prepared, flat_inputs(program, (tuple(parse_inputs(a) for a in args), parse_inputs(dict(kwargs or {})))))
    return prepared.trace("export", hints=hints, registry=registry, progress=progress)


def flat_inputs(program: Any, specs: tuple[tuple[Any, ...], dict[str, Any]]) -> list[Any]:
    """Positional and keyword input specifications in the order of the program's own inputs."""
    args, kwargs = specs
    _, keywords = torch_private.tree_children(program.call_spec.in_spec)
    known = list(keywords.context or ())
    unknown = [k for k in kwargs if k not in known]
    if unknown:
        raise InputError(
            f"the exported program has no keyword input {', '.join(unknown)}",
            hint=f"its keyword inputs are {', '.join(known) or 'none'}; inputs are given as in the call it was exported with",
        )
    return list(pytree.tree_leaves((args, {k: kwargs[k] for k in known if k in kwargs})))


def program_of(program: Any) -> Program:
    """The program's graph with its parameters, buffers and symbolic sizes bound."""
    from torch.export.graph_signature import ConstantArgument, InputKind, TensorArgument

    guards = getattr(program, "_texts_of_guards", None) or getattr(program, "_guards_code", None) or ()
    program = _batched(program)
    graph = program.graph_module
    root = named_class(Root, model_class(graph) or "ExportedProgram")()
    states = _restore_states(program, root)
    _restore_modules(graph, root)
    placeholders = {n.name: n for n in graph.graph.nodes if n.op == "placeholder"}
    fakes = [n.meta.get("val") for n in placeholders.values()]
    sizes = TorchSizes.of(fakes)
    inputs: dict[str, InputSpec] = {}
    bound: dict[str, Any] = {}
    for spec in program.graph_signature.input_specs:
        name = spec.arg.name
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            bound[name] = states[spec.target]
        elif spec.kind in (InputKind.CONSTANT_TENSOR, InputKind.CUSTOM_OBJ):
            bound[name] = program.constants[spec.target]
        elif spec.kind is not InputKind.USER_INPUT:
            bound[name] = None  # a token orders side effects and carries nothing
        elif isinstance(spec.arg, TensorArgument):
            inputs[name] = sizes.spec(placeholders[name].meta["val"])
        elif isinstance(spec.arg, ConstantArgument):
            bound[name] = spec.arg.value
        else:
            bound[name] = _scalar(name, placeholders[name].meta.get("val"), sizes)
    numbers = {name: value for name, value in bound.items() if type(value) in (int, Expr)}
    return Program(
        graph, root, inputs, bound, sizes.hints, sizes.bounds(program.range_constraints), _finisher(program, states),
        guards=[*sizes.assumed(), *guards_in(guards, {**inputs, **numbers})],
    )  # fmt: skip


def _batched(program: Any) -> Any:
    """The program with ``torch.vmap`` carried out: export keeps it as steps around ops that see one sample."""
    modules = [getattr(n.target, "__module__", "") for n in program.graph.nodes if n.op == "call_function"]
    if torch_private.PREDISPATCH not in modules:
        return program
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own internals
        return program.run_decompositions({})


def _scalar(name: str, value: Any, sizes: TorchSizes) -> Any:
    if isinstance(value, torch.SymInt):
        return sizes.size(value)
    if isinstance(value, (int, float, bool, str, type(None))):
        return value
    raise UnsupportedError(
        f"the exported program's input {name} is a symbolic {type(value).__name__}",
        hint="export it with this input as a constant, or as a tensor",
    )


def _restore_modules(graph: Any, root: Root) -> None:
    """Every module the nodes mention, with its class name, also those that hold no parameters."""
    for node in graph.graph.nodes:
        for frame in module_stack(node) or ():
            module_at(root, frame.path, frame.class_name)


def _restore_states(program: Any, root: Root) -> dict[str, torch.Tensor]:
    """Parameters and buffers under their original names; names of one tensor lead to one object, also out of a file."""
    signature = program.graph_signature
    fleeting = {
        spec.target for spec in signature.input_specs if getattr(spec, "persistent", None) is False
    }  # fmt: skip
    found: dict[str, torch.Tensor] = {}
    same: dict[Any, torch.Tensor] = {}
    for name, tensor in {**program.state_dict, **{n: program.constants[n] for n in sorted(fleeting)}}.items():
        key = identity(tensor)
        found[name] = same.setdefault(key, tensor)
        hold(root, name, found[name], name not in fleeting)
    return found


def _finisher(program: Any, states: Mapping[str, torch.Tensor]) -> Callable[[Any], Any]:
    """From the graph's flat outputs to the model's: writes to buffers are made, the rest gets its structure back."""
    from torch.export.graph_signature import ConstantArgument, OutputKind

    specs = list(program.graph_signature.output_specs)
    user = (OutputKind.USER_OUTPUT, OutputKind.LOSS_OUTPUT)

    def finish(outputs: Any) -> Any:
        kept = []
        for spec, value in zip(specs, outputs, strict=True):
            if spec.kind is OutputKind.BUFFER_MUTATION:
                torch.Tensor.copy_(states[spec.target], value)
            elif spec.kind in user:
                kept.append(spec.arg.value if isinstance(spec.arg, ConstantArgument) else value)
        tree = program.call_spec.out_spec
        return pytree.tree_unflatten(kept, tree) if tree is not None and tree.num_leaves == len(kept) else tuple(kept)

    return finish
