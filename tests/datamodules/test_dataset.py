import pytest
import torch
from torch.utils.data import DataLoader

from litzoo.datamodules.dataset import IndexedDataset, identity

IMAGES = torch.randint(0, 256, (30, 2, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(30) % 7
ROWS = torch.tensor([28, 3, 17, 0, 9, 11, 29])


@pytest.mark.parametrize("indices", [None, ROWS], ids=["all", "chosen"])
def test_a_batch_holds_what_its_rows_hold(indices):
    dataset = IndexedDataset(IMAGES, TARGETS, indices)
    positions = [5, 0, 0, 6]
    batch = dataset.__getitems__(positions)
    for place, position in enumerate(positions):
        row = position if indices is None else indices[position].item()
        for sample in ({name: column[place] for name, column in batch.items()}, dataset[position]):
            assert sample["index"].item() == row
            assert sample["target"].item() == row % 7
            assert torch.equal(sample["input"], IMAGES[row])


def test_dtypes_are_kept():
    batch = IndexedDataset(IMAGES, TARGETS.float(), ROWS).__getitems__([1])
    assert [batch[name].dtype for name in ("input", "target", "index")] == [torch.uint8, torch.float32, torch.int64]


@pytest.mark.parametrize("workers", [0, 1])
def test_the_ordinary_loader_serves_whole_batches(workers):
    dataset = IndexedDataset(IMAGES, TARGETS, ROWS)
    batches = list(DataLoader(dataset, batch_size=3, collate_fn=identity, num_workers=workers))
    assert len(dataset) == 7
    assert [len(batch["target"]) for batch in batches] == [3, 3, 1]
    assert torch.equal(torch.cat([batch["index"] for batch in batches]), ROWS)
    assert torch.equal(torch.cat([batch["input"] for batch in batches]), IMAGES[ROWS])


def test_changing_a_batch_leaves_the_data_alone():
    dataset = IndexedDataset(IMAGES.clone(), TARGETS.clone())
    batch = dataset.__getitems__([0, 1])
    batch["input"].zero_()
    batch["target"].fill_(9)
    assert torch.equal(dataset.inputs, IMAGES)
    assert torch.equal(dataset.targets, TARGETS)
