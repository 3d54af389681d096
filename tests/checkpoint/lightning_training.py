"""An ordinary Lightning training that is struck at chosen steps; also a script of its own, for Hydra."""

from __future__ import annotations

import os
import random
import signal
import warnings
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import torchmetrics
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, Dataset

from repro_hydra.lightning import Resumable

SIZE, BATCH = 22, 4
STEPS_AN_EPOCH = 6
EPOCHS = 3


class Points(Dataset):
    def __init__(self):
        generator = np.random.default_rng(7)
        self.x = generator.normal(size=(SIZE, 6)).astype(np.float32)
        self.y = generator.integers(0, 3, size=SIZE)

    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        noise = np.random.normal(size=6).astype(np.float32) * random.random()
        return torch.from_numpy(self.x[index] + noise) + 0.1 * torch.randn(6), int(self.y[index])


class Died(Exception):
    """In place of SIGKILL, where the test's own process trains."""


class Classifier(lightning.LightningModule):
    """With what Lightning's own checkpoints lose: sums over the epoch, torchmetrics, attributes, a plateau's step."""

    def __init__(self, strikes: dict[int, str]):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(6, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(8, 3),
        )
        self.accuracy = torchmetrics.classification.MulticlassAccuracy(3)
        self.batches = 0
        self.losses: list[float] = []
        self.strike = strikes.pop  # a function: no checkpoint brings it back

    def on_train_epoch_start(self):
        self.log("drawn", torch.rand(1).item())

    def training_step(self, batch, batch_idx):
        x, y = batch
        out = self.layers(x * np.random.uniform(0.9, 1.1))
        loss = torch.nn.functional.cross_entropy(out, y)
        self.accuracy(out, y)
        self.batches += 1
        self.losses.append(loss.item())
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log("accuracy", self.accuracy, on_step=False, on_epoch=True)
        strike = self.strike(self.batches, None)
        if strike == "died":
            raise Died
        if strike is not None:
            os.kill(os.getpid(), getattr(signal, strike))
        return loss

    def on_train_epoch_end(self):
        self.log("mean_loss", float(np.mean(self.losses)))
        self.losses.clear()

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", torch.nn.functional.cross_entropy(self.layers(x), y))

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}


def fit(
    out: Path,
    strikes: dict[int, str],
    *,
    resumable: dict[str, Any] | None = None,
    workers: int = 0,
    going_on: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """Train, from the newest checkpoint where there is one, and return everything that has to be the same."""
    warnings.simplefilter("ignore")
    callback = Resumable(**{"name": "fit", **(resumable or {})})
    model = Classifier(strikes)
    trainer = lightning.Trainer(
        **{"max_epochs": EPOCHS, **options},
        callbacks=[
            callback,
            EarlyStopping("val_loss", patience=50),
            ModelCheckpoint(out, monitor="val_loss"),
        ],
        default_root_dir=out,
        logger=CSVLogger(out, version=0),
        accelerator="cpu",
        log_every_n_steps=2,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(Points(), BATCH, shuffle=True, num_workers=workers)
    path = callback.ckpt_path if going_on else None
    trainer.fit(model, loader, DataLoader(Points(), 11), ckpt_path=path)
    return {
        "model": model.state_dict(),
        "optimizer": trainer.optimizers[0].state_dict(),
        "scheduler": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
        "metrics": {name: value.item() for name, value in sorted(trainer.callback_metrics.items())},
        "batches": model.batches,
        "step": trainer.global_step,
        "drawn": [random.random(), np.random.rand(), torch.rand(1).item()],
    }


def main() -> None:
    import hydra
    from hydra.core.hydra_config import HydraConfig

    @hydra.main(version_base=None, config_path="conf", config_name="config")
    def run(cfg):
        out = Path(HydraConfig.get().runtime.output_dir)
        strikes = {}
        for order in os.environ.get("STRIKES", "").split():
            name, at, place = order.split("@")
            if not Path(place).exists():
                strikes[int(at)] = name
                Path(place).touch()
                break
        left = fit(out, strikes, workers=cfg.workers)
        torch.save({name: left[name] for name in ("model", "optimizer", "scheduler")}, cfg.weights)
        return {**left["metrics"], "batches": left["batches"], "next": sum(left["drawn"])}

    run()


if __name__ == "__main__":
    main()
