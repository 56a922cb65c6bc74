"""Models of sound: torchaudio, speechbrain, asteroid. ``A`` samples, ``S`` frames of features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.wild.model import Model, built, of

__all__ = ["MODELS"]

_WAV = {
    "extractor_mode": "group_norm", "extractor_conv_layer_config": [(16, 10, 5), (16, 3, 2), (16, 3, 2)],
    "extractor_conv_bias": False, "encoder_embed_dim": 24, "encoder_projection_dropout": 0.0, "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 2, "encoder_num_layers": 2, "encoder_num_heads": 4, "encoder_attention_dropout": 0.0,
    "encoder_ff_interm_features": 32, "encoder_ff_interm_dropout": 0.0, "encoder_dropout": 0.0,
    "encoder_layer_norm_first": False, "encoder_layer_drop": 0.0, "aux_num_out": 10,
}  # fmt: skip
_WAVLM = {k: v for k, v in _WAV.items() if k not in ("encoder_ff_interm_dropout",)}
_TACOTRON = {
    "n_mels": 8, "n_symbol": 20, "symbol_embedding_dim": 16, "encoder_embedding_dim": 16, "decoder_rnn_dim": 16,
    "prenet_dim": 8, "attention_rnn_dim": 16, "attention_hidden_dim": 8,
}  # fmt: skip
_TASNET = {"enc_num_feats": 16, "msk_num_feats": 8, "msk_num_hidden_feats": 16, "msk_num_layers": 2, "msk_num_stacks": 1}
_WAVERNN = {
    "upsample_scales": [5, 5], "n_classes": 16, "hop_length": 25, "n_res_block": 2, "n_rnn": 16, "n_fc": 16, "n_hidden": 16,
    "n_output": 8, "n_freq": 8,
}  # fmt: skip
_SQUIM = {"feat_dim": 16, "win_len": 16, "d_model": 16, "nhead": 2, "hidden_dim": 16, "num_blocks": 1, "rnn_type": "LSTM"}


def _lengths(*lengths: int) -> torch.Tensor:
    """Lengths of the sequences of a batch, which the model reads: the batch and the longest are these."""
    return torch.tensor(lengths)


def _audio(name: str, net: str, args: Any, hints: dict[str, int], other: dict[str, int], below: int = 2, **options: Any) -> Model:
    return of("torchaudio", name, built(f"torchaudio.models:{net}", **options), args, hints, other, below=below)


def _speech(name: str, path: str, spec: Any = "f32[B,S,20]", *args: Any, **options: Any) -> Model:
    other = {"B": 3, "S": 67}
    return of("speechbrain", name, built(f"speechbrain.{path}", *args, **options), spec, {"B": 2, "S": 50}, other)


def _separate(name: str, *args: Any, hints: int = 4000, other: int = 5000, **options: Any) -> Model:
    build: Callable[[], nn.Module] = built(f"asteroid.models:{name}", *args, **options)
    return of("asteroid", name, build, "f32[B,1,A]", {"B": 2, "A": hints}, {"B": 3, "A": other})


MODELS: tuple[Model, ...] = (
    _audio(
        "Conformer", "Conformer", ("f32[2,S,16]", _lengths(20, 15)), {"S": 20}, {"S": 20}, input_dim=16, num_heads=4,
        ffn_dim=32, num_layers=2, depthwise_conv_kernel_size=7,
    ),
    _audio("Wav2Vec2", "wav2vec2_model", "f32[B,A]", {"B": 2, "A": 1600}, {"B": 3, "A": 2400}, **_WAV),
    _audio("HuBERT", "hubert_base", ("f32[B,A]", "i64[B]"), {"B": 2, "A": 4000}, {"B": 3, "A": 5000}, 4000),
    _audio(
        "WavLM", "wavlm_model", "f32[B,A]", {"B": 2, "A": 1600}, {"B": 3, "A": 2400}, **_WAVLM, encoder_num_buckets=16,
        encoder_max_distance=32, encoder_ff_interm_dropout=0.0,
    ),
    _audio("ConvTasNet", "ConvTasNet", "f32[B,1,A]", {"B": 2, "A": 1600}, {"B": 3, "A": 2405}, num_sources=2, **_TASNET),
    _audio("DeepSpeech", "DeepSpeech", "f32[B,1,S,16]", {"B": 2, "S": 12}, {"B": 3, "S": 17}, n_feature=16, n_hidden=32, n_class=8),
    _audio("Wav2Letter", "Wav2Letter", "f32[B,13,S]", {"B": 2, "S": 80}, {"B": 3, "S": 101}, num_classes=8, input_type="mfcc", num_features=13),
    _audio("WaveRNN", "WaveRNN", ("f32[B,1,25*F]", "f32[B,1,8,F+4]"), {"B": 2, "F": 6}, {"B": 3, "F": 9}, **_WAVERNN),
    _audio(
        "Tacotron2", "Tacotron2", ("i64[2,9]", _lengths(9, 7), "f32[2,8,6]", _lengths(6, 6)), {}, {}, 20, **_TACOTRON
    ),
    _audio("HDemucs", "HDemucs", "f32[B,2,A]", {"B": 1, "A": 16384}, {"B": 2, "A": 20000}, sources=["a", "b"], channels=8),
    _audio(
        "Emformer", "Emformer", ("f32[2,S,16]", _lengths(8, 8)), {"S": 9}, {"S": 13}, input_dim=16, num_heads=4, ffn_dim=32,
        num_layers=2, segment_length=4, right_context_length=1,
    ),
    _audio("SquimObjective", "squim_objective_model", "f32[B,A]", {"B": 2, "A": 800}, {"B": 1, "A": 1000}, **_SQUIM, chunk_size=7),
    _speech("ECAPA_TDNN", "lobes.models.ECAPA_TDNN:ECAPA_TDNN", "f32[B,S,20]", 20, channels=[16] * 4 + [48], lin_neurons=12, attention_channels=8),
    _speech("Xvector", "lobes.models.Xvector:Xvector", in_channels=20, tdnn_channels=[16, 16, 16, 16, 48], lin_neurons=12),
    _speech("CRDNN", "lobes.models.CRDNN:CRDNN", input_size=20, cnn_channels=[4, 8], rnn_neurons=16, dnn_neurons=16),
    _speech(
        "TransformerASR", "lobes.models.transformer.TransformerASR:TransformerASR", ("f32[B,S,20]", "i64[B,7]"), tgt_vocab=2,
        input_size=20, d_model=16, nhead=4, num_encoder_layers=1, num_decoder_layers=1, d_ffn=24,
    ),
    _speech(
        "ConformerEncoder", "lobes.models.transformer.Conformer:ConformerEncoder", ("f32[B,S,16]", None, None, "f32[1,2*S-1,16]"),
        num_layers=2, d_model=16, d_ffn=24, nhead=4,
    ),
    _speech(
        "BranchformerEncoder", "lobes.models.transformer.Branchformer:BranchformerEncoder",
        ("f32[B,S,16]", None, None, "f32[1,2*S-1,16]"), num_layers=2, d_model=16, nhead=4, csgu_linear_units=24,
    ),
    _speech("HifiganGenerator", "lobes.models.HifiGAN:HifiganGenerator", "f32[B,8,S]", 8, 1, "1", [[1, 3, 5]], [3], [8, 8], 16, [4, 4]),
    _separate("ConvTasNet", 2, n_filters=16, n_blocks=2, n_repeats=1, bn_chan=8, hid_chan=16, skip_chan=8),
    _separate("DPRNNTasNet", 2, n_filters=16, bn_chan=8, hid_size=8, chunk_size=20, n_repeats=1),
    _separate("DPTNet", 2, n_filters=16, ff_hid=8, chunk_size=20, n_repeats=1),
    _separate("SuDORMRFNet", 2, bn_chan=8, num_blocks=2, upsampling_depth=2, n_filters=16),
    _separate("LSTMTasNet", 2, rnn_type="lstm", n_layers=1, hid_size=8, n_filters=16),
    _separate("DeMask", input_type="mag", hidden_dims=(16,), n_filters=64, kernel_size=64, stride=32),
    _separate("DCUNet", "DCUNet-10", hints=3904, other=4160, stft_n_filters=64, stft_kernel_size=64, stft_stride=16),
)  # fmt: skip
