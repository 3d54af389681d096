"""Train a small network on scikit-learn's handwritten digits: an ordinary Hydra script.

    python train.py                                   # one run
    python train.py model=mlp optimizer=adamw         # other options of the config groups
    python train.py +experiment=wide                  # several changes under one name
    python train.py -m 'seed=range(5)'                # a sweep

The final weights are left in the run's directory as `weights.pt`.
"""

import logging
from pathlib import Path

import hydra
import numpy as np
import torch
import torch.nn.functional as F
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

log = logging.getLogger(__name__)


class Digits(Dataset):
    """The 1,797 images of 8 x 8 pixels; the last fifth of them is the test set."""

    def __init__(self, train: bool, shift: int = 0, noise: float = 0.0) -> None:
        digits = load_digits()
        first_test = len(digits.target) * 4 // 5
        part = slice(None, first_test) if train else slice(first_test, None)
        self.images = (digits.images[part] / 16.0).astype(np.float32)
        self.labels = digits.target[part].astype(np.int64)
        self.shift, self.noise = shift, noise

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        if self.shift:
            rows, columns = np.random.randint(0, 2 * self.shift + 1, size=2)
            padded = np.pad(image, self.shift)
            image = padded[rows : rows + image.shape[0], columns : columns + image.shape[1]]
        tensor = torch.from_numpy(image).unsqueeze(0)
        if self.noise:
            tensor = tensor + self.noise * torch.randn_like(tensor)
        return tensor, int(self.labels[index])


def block(channels_in: int, channels_out: int) -> nn.Module:
    conv = nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU(), nn.MaxPool2d(2))


def conv_net(width: int, dropout: float) -> nn.Module:
    head = nn.Linear(2 * width * 2 * 2, 10)
    return nn.Sequential(block(1, width), block(width, 2 * width), nn.Flatten(), nn.Dropout(dropout), head)


def mlp(width: int, dropout: float) -> nn.Module:
    hidden = nn.Linear(8 * 8, width)
    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 10))


MODELS = {"conv": conv_net, "mlp": mlp}


def evaluate(model: nn.Module, loader: DataLoader, device: torch.device) -> dict[str, float]:
    model.eval()
    correct, loss = 0, 0.0
    with torch.no_grad():
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            logits = model(images)
            correct += int((logits.argmax(dim=1) == labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    count = len(loader.dataset)
    return {"test_accuracy": correct / count, "test_loss": loss / count}


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> dict[str, float]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_set = Digits(train=True, shift=cfg.data.shift, noise=cfg.data.noise)
    train_loader = DataLoader(train_set, cfg.data.batch_size, shuffle=True, num_workers=cfg.data.workers)
    test_loader = DataLoader(Digits(train=False), batch_size=360)

    model = MODELS[cfg.model.name](cfg.model.width, cfg.model.dropout).to(device)
    optimizer = hydra.utils.instantiate(cfg.optimizer, model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=cfg.optimizer.lr, total_steps=cfg.epochs * len(train_loader)
    )
    log.info("%s with %d parameters", cfg.model.name, sum(p.numel() for p in model.parameters()))

    for epoch in range(1, cfg.epochs + 1):
        model.train()
        total = 0.0
        for images, labels in train_loader:
            images, labels = images.to(device), labels.to(device)
            loss = F.cross_entropy(model(images), labels, label_smoothing=cfg.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(labels)
        metrics = evaluate(model, test_loader, device)
        log.info(
            "epoch %d of %d: train loss %.4f, test loss %.4f, test accuracy %.4f",
            *(epoch, cfg.epochs, total / len(train_set), metrics["test_loss"], metrics["test_accuracy"]),
        )

    torch.save(model.state_dict(), Path(HydraConfig.get().runtime.output_dir) / "weights.pt")
    return metrics


if __name__ == "__main__":
    main()
