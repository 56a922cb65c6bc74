"""Scratch memory of CUDA's reductions, by the rule written down as ATen's ``ReduceConfig`` is."""

from __future__ import annotations

from math import ceil, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxcount.passes.scratch import reduction_scratch


@pytest.mark.parametrize(("images", "blocks"), [(64, 197), (17, 53)])
def test_measured_on_an_h200(images: int, blocks: int) -> None:
    """The gradient of a bias of ViT-B (768 wide, 197 tokens an image): what the allocator was asked for besides tensors when
    the step was measured, 77,463,576 and 20,840,472 bytes."""
    assert reduction_scratch((images * 197, 768), (0,), 4, 4, 132) == blocks * 128 * 768 * 4 + 24


class Config:
    """``ReduceConfig`` and ``setReduceConfig`` of ATen's native/cuda/Reduce.cuh, line by line, for a dense float tensor."""

    def __init__(self, inputs: int, outputs: int, fastest: bool, last: int, whole: bool, processors: int) -> None:
        self.num_inputs, self.num_outputs = inputs, outputs
        self.step_input = self.step_output = self.ctas_per_output = self.output_vec_size = 1
        self.input_mult, self.output_mult = [0, 0, 0], [0, 0]
        dim0, dim1 = (inputs, outputs) if fastest else (outputs, inputs)
        if fastest and dim0 > 128 and whole:
            dim0 //= 4
        elif not fastest:
            while last % (4 // self.output_vec_size) and self.output_vec_size < 4:
                self.output_vec_size *= 2
            self.output_vec_size = 4 // self.output_vec_size
            dim0 //= self.output_vec_size
        most = 512 // self.output_vec_size
        pow0 = 2 ** ((dim0 or 1).bit_length() - 1) if dim0 < most else most
        pow1 = 2 ** (dim1.bit_length() - 1) if dim1 < most else most
        self.block_width = min(pow0, 32)
        self.block_height = min(pow1, most // self.block_width)
        self.block_width = min(pow0, most // self.block_height)
        if fastest:
            self.input_mult[0] = self.split_input(self.block_width)
        else:
            self.output_mult[0] = self.split_output(self.block_width)
        if self.values_per_thread() >= self.block_height * 16 or self.values_per_thread() >= 256:
            self.input_mult[1] = self.split_input(self.block_height)
        else:
            self.output_mult[1] = self.split_output(self.block_height)
        target = processors * (2048 // (self.block_width * self.block_height))
        if self.input_mult[1] and self.values_per_thread() >= 256 and self.grid() <= target:
            one, two = ceil(target / self.grid()), ceil(self.values_per_thread() / 16)
            self.ctas_per_output = max(min(one, two), ceil(self.values_per_thread() / 256))
            if self.ctas_per_output > 1:
                self.input_mult[2] = self.split_input(self.ctas_per_output)

    def split_input(self, parallelism: int) -> int:
        step, self.step_input = self.step_input, self.step_input * parallelism
        return step

    def split_output(self, parallelism: int) -> int:
        step, self.step_output = self.step_output, self.step_output * parallelism
        return step

    def values_per_thread(self) -> int:
        return ceil(self.num_inputs / self.step_input)

    def grid(self) -> int:
        return ceil(self.num_outputs // self.output_vec_size / self.step_output)

    def nbytes(self) -> int:
        if not self.input_mult[2]:
            return 0
        size = 4 * self.num_outputs * self.ctas_per_output
        if not self.input_mult[0]:  # should_block_x_reduce
            size *= self.block_width * self.output_vec_size
        return size + 4 * self.grid()


@given(
    st.lists(st.integers(1, 20000), min_size=1, max_size=3),
    st.sampled_from(["first", "last", "all"]), st.sampled_from([58, 108, 132]),
)  # fmt: skip
def test_rule_is_that_of_aten(shape: list[int], what: str, processors: int) -> None:
    dims = {"first": [0], "last": [len(shape) - 1], "all": list(range(len(shape)))}[what]
    kept = [n for i, n in enumerate(shape) if i not in dims]
    fastest = len(shape) - 1 in dims
    config = Config(prod(shape) // prod(kept), prod(kept), fastest, kept[-1] if kept else 1, not kept, processors)
    assert reduction_scratch(shape, dims, 4, 4, processors) == config.nbytes()
