"""Every op of the registry has a case: what the parametrized tests of this folder are called with is collected."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fxcount.ops import REGISTRY, Op
from fxcount.torch_private import VERSION
from tests.ops.cases import Case

# They ask the whole registry something, and so are no case of any op.
_OF_ALL = {"test_every_op", "test_traits", "test_binding", "test_opinfo", "test_tree", "test_harness"}
MODULES: dict[str, ModuleType] = {
    f.stem: importlib.import_module(f"tests.ops.{f.stem}")
    for f in sorted(Path(__file__).parent.glob("test_*.py"))
    if f.stem not in _OF_ALL
}

ELSEWHERE: dict[str, str] = {
    "test_views.test_where_a_tensor_goes": "cpu cuda chalf",
    "test_comparison.test_a_python_bool_depends_on_data": "is_nonzero",
    "test_loss.test_ctc_shapes": "_ctc_loss",
    "test_backward_pairs.test_ctc": "_ctc_loss_backward",
    "test_matmul.test_scaled_product": "_scaled_mm _scaled_mm_v2",
    "test_attention.test_flex_attention_is_dense": "flex_attention",
    "test_linalg.test_rules_of_other_names": "cholesky qr",
    "test_rnn.test_padding_needs_the_batch_sizes": "_pack_padded_sequence _pad_packed_sequence",
    "test_rnn_layer.test_the_gradients_have_the_shapes_of_what_they_are_of": "mkldnn_rnn_layer_backward",
    "test_vision.test_shapes": "torchvision.roi_align torchvision.ps_roi_align torchvision.roi_pool torchvision.ps_roi_pool "
    "torchvision.deform_conv2d",
    "test_packed.test_layers": "quantized.linear quantize_per_tensor dequantize int_repr",
    "test_packed.test_dynamic_linear": "quantized.linear_dynamic",
    "test_packed.test_dynamic_recurrent_layers":
        "quantized_lstm quantized_gru quantized.quantized_lstm_cell_dynamic quantized.quantized_gru_cell_dynamic "
        "quantized.quantized_rnn_tanh_cell_dynamic quantized.quantized_rnn_relu_cell_dynamic",
    "test_packed.test_half_precision_weights": "quantized.linear_dynamic_fp16",
    "test_packed.test_embeddings": "quantized.embedding_byte quantized.embedding_bag_byte",
    "test_packed.test_elements": "quantized.add",
    "test_quantised_layers.test_a_product_of_two": "quantized.matmul",
    "test_quantised_layers.test_weights_of_four_bits_are_packed": "_convert_weight_to_int4pack_for_cpu "
    "_convert_weight_to_int4pack _dyn_quant_pack_4bit_weight",
    "test_quantised_layers.test_a_product_with_them": "_dyn_quant_matmul_4bit",
    "test_packed.test_joined_pooled_and_averaged": "quantized.cat",
    "test_packed.test_a_scale_chosen_as_it_comes": "quantize_per_tensor_dynamic",
    "test_sparse.test_what_one_layout_has": "_sparse_sum _sparse_softmax _sparse_log_softmax sparse_sampled_addmm",
    "test_sparse.test_what_is_made_of_a_tensor_of_the_model_is_known": "to_sparse to_sparse_csr to_sparse_csc sparse_mask "
    "to_sparse_coo",
    "test_sparse.test_products_count_the_stored_entries": "_sparse_addmm",
    "test_sparse.test_a_graph_convolution_counts_its_edges": "sparse_coo_tensor",
    "test_sparse.test_compressed_tensors_are_what_they_are_made_of": "sparse_compressed_tensor",
}
"""Tests that no table feeds, and the ops whose results they compare."""


def _leaves(tree: Any) -> Iterator[Any]:
    """What a parametrization holds, cases opened."""
    if isinstance(tree, Case):
        yield tree.func
    elif isinstance(tree, (list, tuple, set, frozenset)):
        for part in tree:
            yield from _leaves(part)
    elif isinstance(tree, dict):
        yield from _leaves(list(tree.items()))
    elif hasattr(tree, "marks") and hasattr(tree, "values"):  # pytest.param
        yield from _leaves(tree.values)
    else:
        yield tree


def _found(leaf: Any) -> Op | None:
    if isinstance(leaf, Op):
        return leaf
    if isinstance(leaf, str):
        return REGISTRY.named(leaf.replace(".", "_")) if leaf.replace(".", "_") in REGISTRY.names else None
    known = callable(leaf) and isinstance(leaf, Hashable) and leaf in REGISTRY
    return REGISTRY[leaf] if known else None


def _tests(module: ModuleType) -> Iterator[Callable[..., Any]]:
    return (test for name, test in vars(module).items() if name.startswith("test_"))


def _given(test: Callable[..., Any]) -> Iterator[Op]:
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            yield from filter(None, map(_found, _leaves(mark.args[1])))


# how the object is called that makes the call: nn.quantized.dynamic.Linear, dtype=torch.float16, nn.quantized.EmbeddingBag
_VARIANT = re.compile("_byte|_dynamic_fp16|_dynamic$|_(?=bag)")
WITH_A_CASE = {entry for module in MODULES.values() for test in _tests(module) for entry in _given(test)}


def _has_case(entry: Op) -> bool:
    return any(variant in WITH_A_CASE for variant in REGISTRY.variants(entry))


@pytest.mark.parametrize("entry", REGISTRY.ops, ids=lambda entry: entry.name)
def test_every_op_has_a_case(entry: Op) -> None:
    if VERSION < (2, 13) and entry.name.startswith("_") and not hasattr(torch.ops.aten, entry.name):
        pytest.skip("this torch has no such op")
    listed = {name for names in ELSEWHERE.values() for name in names.split()}
    assert _has_case(entry) != (entry.name in listed), "give it a case, or take it off ELSEWHERE"


@pytest.mark.parametrize("where", ELSEWHERE)
def test_what_is_compared_elsewhere_is_named_there(where: str) -> None:
    module, _, test = where.partition(".")
    assert callable(getattr(MODULES[module], test))
    words = "".join(filter(str.isalnum, inspect.getsource(MODULES[module]))).lower()
    for name in ELSEWHERE[where].split():
        stem = name.removeprefix("torchvision.").removeprefix("quantized.")
        for part in _VARIANT.split(stem):
            assert "".join(filter(str.isalnum, part)) in words
