"""What a task logs by itself, with the real libraries, stands in the record: with no line of the task changed."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tracked import recorded

HEAD = """\
import hydra
{imports}

@hydra.main(version_base=None, config_path=None)
def main(cfg):
"""
TENSORBOARD = """\
    writer = SummaryWriter("events")
    for step in range(3):
        writer.add_scalar("train/loss", 1 / (step + 1), step)
        writer.add_scalars("both", {"a": step, "b": -step}, step)
    writer.close()


main()
"""
WANDB = """\
    run = wandb.init(mode="offline", dir=".", project="p")
    for step in range(3):
        run.log({"train/loss": 1 / (step + 1), "text": "not a number", "nested": {"x": step}})
    run.finish()


main()
"""
LIGHTNING = """\
    class Model(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch, index):
            loss = self.layer(batch[0]).square().mean()
            self.log("train/loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(8, 4)), batch_size=2)
    trainer = L.Trainer(
        max_epochs=1, log_every_n_steps=1, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False,
        logger=CSVLogger("logs"),
    )
    trainer.fit(Model(), data)


main()
"""
TRANSFORMERS = """\
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    model = BertForSequenceClassification(
        BertConfig(vocab_size=16, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    )
    data = [{"input_ids": torch.tensor([1, 2]), "labels": torch.tensor(i % 2)} for i in range(8)]
    arguments = TrainingArguments(
        "trainer", max_steps=3, logging_steps=1, report_to=[], save_strategy="no", use_cpu=True
    )
    Trainer(model=model, args=arguments, train_dataset=data).train()


main()
"""


def metrics_of(folder: Path, imports: str, body: str) -> dict[str, list[tuple[int, float]]]:
    """What ``metrics.jsonl`` holds after a run of that script."""
    (folder / "train.py").write_text(HEAD.format(imports=imports) + body)
    done = subprocess.run(
        [sys.executable, "train.py", "+repro=standard"],
        cwd=folder,
        env={**os.environ, "WANDB_SILENT": "true", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (metrics,) = folder.glob("outputs/*/*/.repro/metrics.jsonl")
    result = json.loads((metrics.parent / "result.json").read_text())
    found = recorded(metrics.parents[1])
    assert result == {name: series[-1][1] for name, series in found.items()}
    return found


LOSS = [(0, 1.0), (1, 0.5), (2, 1 / 3)]


def test_tensorboards_writer(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    found = metrics_of(tmp_path, "from torch.utils.tensorboard import SummaryWriter\n", TENSORBOARD)
    assert found["train/loss"] == LOSS
    assert found["both/b"] == [(0, 0.0), (1, -1.0), (2, -2.0)]


def test_wandb(tmp_path: Path) -> None:
    """Texts are W&B's alone."""
    pytest.importorskip("wandb")
    found = metrics_of(tmp_path, "import wandb\n", WANDB)
    assert found == {"train/loss": LOSS, "nested.x": [(0, 0.0), (1, 1.0), (2, 2.0)]}


@pytest.mark.skipif(find_spec("lightning") is None, reason="needs lightning")
def test_lightning(tmp_path: Path) -> None:
    """Whatever its logger is; by the same steps."""
    imports = "import lightning as L, torch\nfrom lightning.pytorch.loggers import CSVLogger\n"
    found = metrics_of(tmp_path, imports, LIGHTNING)
    assert [step for step, _ in found["train/loss"]] == [0, 1, 2, 3]
    (written,) = tmp_path.glob("logs/**/metrics.csv")
    rows = list(csv.DictReader(written.open()))
    assert [(int(row["step"]), float(row["train/loss"])) for row in rows] == found["train/loss"]
    losses = [value for _, value in found["train/loss"]]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.skipif(
    find_spec("transformers") is None, reason="needs transformers, which is in no extra of ours"
)
def test_the_trainer_of_transformers(tmp_path: Path) -> None:
    found = metrics_of(tmp_path, "import torch\n", TRANSFORMERS)
    assert [step for step, _ in found["loss"]] == [1, 2, 3]
    assert found["learning_rate"]
