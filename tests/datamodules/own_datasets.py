"""Data sets of one's own: points, and images."""

import torch
from torch import nn
from torch.utils.data import Dataset
from torchvision.transforms import v2

TO_FLOAT = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


class Vectors(Dataset):
    """Points in eight dimensions, of three classes."""

    def __init__(self, size: int = 120, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.y = torch.arange(size) % 3
        self.x = torch.randn(size, 8, generator=generator) + 3 * nn.functional.one_hot(self.y, 8)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def pixels(count_=30, channels=3, side=6, seed=0):
    return torch.randint(256, (count_, channels, side, side), generator=torch.Generator().manual_seed(seed)).byte()
