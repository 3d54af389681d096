"""A LightningModule under a Trainer, as the Lightning template has it."""

import hydra
import lightning
import torch
from hydra.core.hydra_config import HydraConfig
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 2))

    def training_step(self, batch, _index):
        x, y = batch
        loss = nn.functional.cross_entropy(self.layers(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _index):
        x, y = batch
        self.log("accuracy", (self.layers(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.hparams.lr)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    lightning.seed_everything(cfg.seed, workers=True)
    x = torch.randn(256, 16)
    y = (x[:, :4].sum(1) > 0).long()
    train = DataLoader(TensorDataset(x[:192], y[:192]), 32, shuffle=True)
    test = DataLoader(TensorDataset(x[192:], y[192:]), 32)
    trainer = lightning.Trainer(
        max_epochs=2,
        deterministic=True,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=HydraConfig.get().runtime.output_dir,
        accelerator="auto",
    )
    trainer.fit(Classifier(cfg.lr), train, test)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


if __name__ == "__main__":
    main()
