#!/usr/bin/env bash
# PYTHON=path bash install.sh: the packages of the family into that Python's environment, which has torch, torchvision, timm and
# transformers already. Their Python parts alone: no dependencies, so that no other torch comes along, and no weights.
set -u
python=${PYTHON:?the python of an environment of your own}
packages=(
  # images
  einops einx frozendict vit-pytorch denoising-diffusion-pytorch ema-pytorch pytorch-fid segmentation-models-pytorch
  efficientnet_pytorch facenet-pytorch pretrainedmodels munch ultralytics ultralytics-thop opencv-python-headless open_clip_torch
  ftfy wcwidth monai scipy
  # sound
  torchaudio speechbrain hyperpyyaml ruamel.yaml asteroid asteroid-filterbanks pb_bss_eval julius torch_stoi soundfile cffi pycparser
  # sequences, fields, clips
  x-transformers torch-einops-utils hyper-connections loguru performer-pytorch axial-positional-embedding local-attention
  colt5-attention linformer perceiver-pytorch mambapy snntorch torchdiffeq neuraloperator tensorly tensorly-torch opt_einsum
  torch-harmonics configmypy requests urllib3 charset-normalizer certifi pytorchvideo parameterized av beartype jaxtyping
  # tables, series, games, adapters
  peft gpytorch linear_operator torchrl tensordict cloudpickle orjson pyvers stable-baselines3 gymnasium farama-notifications
  deepctr-torch scikit-learn joblib threadpoolctl gluonts toolz lightning lightning-utilities torchmetrics pytorch-lightning
  sentence-transformers
  # graphs
  e3nn opt_einsum_fx schnetpack h5py fasteners dirsync ase matscipy torch_ema
  # ten and more, tried later
  segment-anything encodec vocos zuko nflows normflows conformer vector-quantize-pytorch egnn-pytorch lpips pytorch-tcn tabm
  rtdl_num_embeddings pytorch-tabnet xlstm omegaconf antlr4-python3-runtime litgpt
)
failed=()
for package in "${packages[@]}"; do
  "$python" -m pip install -q --no-deps --disable-pip-version-check "$package" || failed+=("$package")
done
# torchaudio's compiled parts are of another torch; without them it falls back on Python
site=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
rm -f "$site"/torchaudio/lib/*.so
echo "${#packages[@]} packages; not installed: ${failed[*]:-none}"
