"""What a training costs, said by callbacks and logged to runs, in the libraries that are installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount import InputError
from fxcount.adapters.callbacks import lightning_callback, trainer_callback
from fxcount.adapters.metrics import log_report, metrics


def test_metrics_are_the_reports_numbers() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "B,3")
    with pytest.raises(InputError, match=r"report\.at\(B=8\)"):
        metrics(report)
    found = metrics(report.at(B=2), "")
    assert found["params"] == found["trainable_params"] == 20
    assert (found["params_bytes"], found["macs"], found["flops"]) == (80, 2 * 15, 2 * 2 * 15 + 2 * 5)  # with biases
    assert found["peak_bytes"] == 4 * (2 * 3 + 2 * 5)  # the input and the output
    step = metrics(fxcount.training_step(nn.Linear(3, 5), "2,3", optimizer="adamw"), "x/")
    assert step["x/train/gradient_bytes"] == 80
    assert step["x/train/optimizer_bytes"] == 2 * 80 + 2 * 4  # two moments, and a step for each of two parameters


class Writer:
    """The methods of TensorBoard's writer."""

    def __init__(self) -> None:
        self.scalars: dict[str, int] = {}
        self.text = ""

    def add_scalar(self, name: str, n: int, step: int) -> None:
        self.scalars[name] = n

    def add_text(self, name: str, text: str, step: int) -> None:
        self.text = text


class Flow:
    """The functions of mlflow."""

    def __init__(self) -> None:
        self.metrics: dict[str, int] = {}
        self.page = ""

    def log_metrics(self, found: dict[str, int], step: int) -> None:
        self.metrics = found

    def log_artifact(self, path: str) -> None:
        self.page = Path(path).read_text(encoding="utf-8")


def test_runs_are_known_by_their_methods() -> None:
    report = fxcount.analyze(nn.Sequential(nn.Linear(3, 5)), "2,3")
    writer, flow = Writer(), Flow()
    assert log_report(report, writer) == writer.scalars == metrics(report)
    assert "Sequential" in writer.text
    assert log_report(report, flow) == flow.metrics
    assert flow.page.lstrip().startswith("<!")
    with pytest.raises(InputError, match="no run"):
        log_report(report, object())


def test_a_run_of_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path}")
    mlflow.set_experiment("costs")
    report = fxcount.analyze(nn.Linear(3, 5), "2,3")
    with mlflow.start_run() as run:
        found = log_report(report, mlflow)
    assert mlflow.get_run(run.info.run_id).data.metrics == found


def trainer(tmp_path: Path, callback: Any) -> Any:
    pytest.importorskip("accelerate")
    import fxcount.adapters.torchvision_ops  # noqa: F401 - before transformers looks for torchvision

    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40, "vocab_size": 107}
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**sizes))
    data = [{"input_ids": torch.randint(107, (7,)), "labels": torch.tensor(i % 2)} for i in range(8)]
    options = {"per_device_train_batch_size": 4, "max_steps": 2, "report_to": [], "save_strategy": "no", "disable_tqdm": True}
    arguments = transformers.TrainingArguments(str(tmp_path), use_cpu=True, **options)
    callbacks = [callback] if callback is not None else []
    return transformers.Trainer(model=model, args=arguments, train_dataset=data, callbacks=callbacks)


@pytest.mark.filterwarnings("ignore")
def test_a_trainer_of_transformers(tmp_path: Path) -> None:
    said: list[str] = []
    writer = Writer()
    callback = trainer_callback(say=said.append, run=writer)
    run = trainer(tmp_path, callback)
    plain = trainer(tmp_path, None)
    ids = {"input_ids": torch.zeros(4, 7, dtype=torch.long), "labels": torch.zeros(4, dtype=torch.long)}
    expected = fxcount.analyze(plain.model.train(), kwargs=ids)
    for each in (run, plain):
        torch.manual_seed(1)
        each.train()
    weights = zip(run.model.parameters(), plain.model.parameters(), strict=True)
    assert all(torch.equal(mine, other) for mine, other in weights)  # the training is the same
    found = callback.metrics
    assert found["fxcount/params"] == sum(p.numel() for p in plain.model.parameters())
    assert found["fxcount/macs"] == expected.macs
    assert found["fxcount/train/flops"] > 2 * found["fxcount/macs"]
    held = 4 * found["fxcount/params"]
    assert found["fxcount/train/optimizer_bytes"] >= 2 * held  # AdamW
    assert found["fxcount/train/peak_bytes"] >= 4 * held  # weights, gradients, two moments
    assert writer.scalars == found
    assert len(said) == 1
    assert f"params {found['fxcount/params']:,}" in said[0]


@pytest.mark.filterwarnings("ignore")
def test_data_that_cannot_be_asked_do_not_stop_the_training(tmp_path: Path) -> None:
    said: list[str] = []
    callback = trainer_callback(say=said.append)
    run = trainer(tmp_path, callback)

    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(data)

    data = list(run.train_dataset)
    run.train_dataset = Stream()
    run.train()
    assert run.state.global_step == 2
    assert callback.metrics == {}
    assert "first samples" in said[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("example", ["tensor", "dict", "none"])
def test_lightning(example: str) -> None:
    os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    lightning = pytest.importorskip("lightning.pytorch")

    class Net(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 5)
            x = torch.zeros(2, 3)
            self.example_input_array = {"tensor": x, "dict": {"x": x}, "none": None}[example]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return self(batch[0]).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    said: list[str] = []
    callback = lightning_callback(say=said.append)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(8, 3)), 2)
    lightning.Trainer(max_steps=1, callbacks=[callback], accelerator="cpu", **quiet).fit(Net(), data)
    assert callback.metrics["fxcount/params"] == callback.metrics["fxcount/trainable_params"] == 20
    assert callback.metrics.get("fxcount/macs") == (None if example == "none" else 2 * 15)
    assert len(said) == 1
