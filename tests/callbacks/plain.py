"""A Lightning module, data sets and loaders that know nothing of litzoo."""

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.training import cpu_trainer

CENTRES = torch.tensor([[3.0, 0, 0], [0, 3, 0], [0, 0, 3]])


class Clusters(Dataset):
    """Three clusters; with `unknown` samples of a fourth."""

    def __init__(self, count, seed, unknown=0, noise=1.5):
        draw = torch.Generator().manual_seed(seed)
        self.y = torch.arange(count) % 3
        self.x = CENTRES[self.y] + noise * torch.randn(count, 3, generator=draw)
        self.x = torch.cat([self.x, torch.randn(unknown, 3, generator=draw) - 6])
        self.y = torch.cat([self.y, torch.full((unknown,), -1)])

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return self.x[index], self.y[index], index


class Plain(LightningModule):
    """A classifier as people write it: batches are tuples, and its steps return dictionaries."""

    class_names = ("a", "b", "c")

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(3, 8), nn.ReLU()), nn.Linear(8, 3)
        self.register_buffer("temperature", torch.ones(()))

    def run(self, batch, temperature=1.0):
        features = self.body(batch[0])
        return {"features": features, "logits": self.head(features) / temperature}

    def training_step(self, batch, batch_idx):
        outputs = self.run(batch)
        return {**outputs, "loss": nn.functional.cross_entropy(outputs["logits"], batch[1])}

    def validation_step(self, batch, batch_idx):
        outputs = self.run(batch)
        self.log("val/loss", nn.functional.cross_entropy(outputs["logits"], batch[1], ignore_index=-1))
        return outputs

    def test_step(self, batch, batch_idx):
        return self.run(batch, self.temperature)

    def predict_step(self, batch, batch_idx):
        return self.run(batch, self.temperature)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.05)


def loaders(**options):
    sets = {"train": Clusters(300, 0), "val": Clusters(150, 1), "test": Clusters(120, 2, unknown=40)} | options
    return {name: DataLoader(each, 32, shuffle=name == "train") for name, each in sets.items()}


class PlainData(LightningDataModule):
    def train_dataloader(self):
        return loaders()["train"]

    def val_dataloader(self):
        return loaders()["val"]

    def test_dataloader(self):
        return loaders()["test"]

    predict_dataloader = test_dataloader


def fit(*callbacks, module=None, **options):
    torch.manual_seed(0)
    module = module or Plain()
    trainer = cpu_trainer(callbacks=list(callbacks), max_epochs=3, enable_checkpointing=True, num_sanity_val_steps=1)
    served = loaders(**options)
    trainer.fit(module, served["train"], served.get("val"))
    return trainer, module
