"""Models of molecules, points and other things that symmetry groups act on."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from benchmarks.zoo.wild.model import Model, built, of

__all__ = ["MODELS"]

_CLOUD: tuple[Mapping[str, int], Mapping[str, int]] = ({"N": 12, "E": 40}, {"N": 17, "E": 53})


class _Equivariant(nn.Module):
    """e3nn: a fully connected product of features with spherical harmonics along edges, gated."""

    def __init__(self) -> None:
        super().__init__()
        o3, nets = importlib.import_module("e3nn.o3"), importlib.import_module("e3nn.nn")
        self.harmonics = o3.SphericalHarmonics("0e + 1o + 2e", normalize=True, normalization="component")
        self.product = o3.FullyConnectedTensorProduct("8x0e + 4x1o", "0e + 1o + 2e", "12x0e + 4x1o")
        self.gate = nets.Gate("8x0e", [torch.tanh], "4x0e", [torch.sigmoid], "4x1o")
        self.mix = o3.Linear("8x0e + 4x1o", "3x0e")

    def forward(self, x: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.mix(self.gate(self.product(x, self.harmonics(directions))))
        return result


class _Norms(nn.Module):
    """e3nn: normalisation, dropout and activations of irreducible representations."""

    def __init__(self) -> None:
        super().__init__()
        nets = importlib.import_module("e3nn.nn")
        self.norm, self.act = nets.BatchNorm("8x0e + 4x1o"), nets.NormActivation("8x0e + 4x1o", torch.sigmoid)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.act(self.norm(x))
        return result


def _atoms(path: str, **options: Any) -> Callable[[], nn.Module]:
    """schnetpack: a representation of atoms and the energy it gives."""

    def build() -> nn.Module:
        loader = importlib.import_module("torch.utils.data.dataloader")
        if not hasattr(loader, "T_co"):  # which schnetpack takes from there; newer versions of torch have it no more
            loader.T_co = TypeVar("T_co", covariant=True)  # type: ignore[attr-defined]
        nets, atoms = importlib.import_module("schnetpack.nn"), importlib.import_module("schnetpack.atomistic")
        representation = built(path, n_atom_basis=16, n_interactions=2, radial_basis=nets.GaussianRBF(8, 5.0), cutoff_fn=nets.CosineCutoff(5.0), **options)()
        parts = nn.Sequential(atoms.PairwiseDistances(), representation, atoms.Atomwise(16, output_key="energy"))

        class Energy(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.parts = parts

            def forward(self, numbers: Any, places: Any, offsets: Any, first: Any, second: Any, molecule: Any) -> torch.Tensor:
                given = {
                    "_atomic_numbers": numbers, "_positions": places, "_offsets": offsets, "_idx_i": first, "_idx_j": second,
                    "_idx_m": molecule, "_n_atoms": molecule,
                }  # fmt: skip
                result: torch.Tensor = self.parts(given)["energy"]
                return result

        return Energy()

    return build


_ATOMS = ("i64[12]", "f32[12,3]", "f32[E,3]", "i64[E]", "i64[E]", torch.zeros(12, dtype=torch.int64))

MODELS: tuple[Model, ...] = (
    of("e3nn", "product-gate", _Equivariant, ("f32[E,20]", "f32[E,3]"), {"E": 40}, {"E": 53}, reads_tables=True),
    of("e3nn", "norm-activation", _Norms, "f32[N,20]", {"N": 12}, {"N": 17}, reads_tables=True),
    of("schnetpack", "SchNet", _atoms("schnetpack.representation:SchNet"), _ATOMS, {"E": 40}, {"E": 53}, below=9, reads_tables=True),
    of("schnetpack", "PaiNN", _atoms("schnetpack.representation:PaiNN"), _ATOMS, {"E": 40}, {"E": 53}, below=9, reads_tables=True),
)  # fmt: skip
