import numpy as np
import pytest
import torch

from litzoo.datamodules import ShapesDataModule
from litzoo.datamodules.segmentation.dataset import SegmentationDataset
from litzoo.datamodules.segmentation.shapes import draw_shapes
from tests.datamodules.recording import Recorder, quiet_trainer

CPU = torch.device("cpu")


def shapes(**options):
    sizes = {"images": 16, "side": 32, "val_size": 5, "batch_size": 4, "eval_batch_size": 3, "augment": "turn_vary"}
    return ShapesDataModule(**{**sizes, **options})


def recorded(tmp_path, stage="fit", epochs=2, **options):
    torch.manual_seed(4)
    recorder, datamodule = Recorder(), shapes(**options)
    getattr(quiet_trainer(tmp_path, epochs), stage)(recorder, datamodule)
    return recorder.seen, datamodule


def indices(batches):
    return torch.cat([batch["index"] for batch in batches]).tolist()


def test_every_training_image_is_served_once_an_epoch_and_augmented_with_its_masks(tmp_path):
    seen, datamodule = recorded(tmp_path)
    changed = 0
    for epoch in (0, 1):
        assert sorted(indices(seen["train", epoch])) == datamodule.split.train.tolist()
        assert [len(batch["input"]) for batch in seen["train", epoch]] == [4, 4, 3]
        for batch in seen["train", epoch]:
            for index, image, target in zip(batch["index"], batch["input"], batch["target"], strict=True):
                original = draw_shapes(0, int(index), 32)
                assert image.dtype == torch.float32
                assert 0 <= image.min() <= image.max() <= 1
                assert len(target["boxes"]) == len(target["labels"]) == len(target["masks"]) <= len(original.labels)
                changed += not torch.equal(image, original.image / 255)
    assert changed == 22
    assert indices(seen["train", 0]) != indices(seen["train", 1])


@pytest.mark.parametrize(
    ("stage", "name"), [("fit", "val"), ("validate", "val"), ("test", "test"), ("predict", "predict")]
)
def test_evaluation_sees_every_image_in_order_and_as_it_is(stage, name, tmp_path):
    seen, datamodule = recorded(tmp_path, stage, epochs=1)
    batches = seen[name, 0]
    part, expected = (0, datamodule.split.val.tolist()) if name == "val" else (1, list(range(100)))
    assert indices(batches) == expected
    for batch in batches[:3]:
        for index, image, target in zip(batch["index"], batch["input"], batch["target"], strict=True):
            original = draw_shapes(part, int(index), 32)
            assert torch.equal(image, original.image / 255)
            assert torch.equal(target["masks"], original.masks)
            assert torch.equal(target["labels"], original.labels)
            rows, columns = np.nonzero(original.masks[0].numpy())
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert target["boxes"][0].tolist() == box


def test_the_same_is_drawn_after_the_same_seed(tmp_path):
    first, second = (recorded(tmp_path)[0]["train", 1] for _ in range(2))
    assert all(
        torch.equal(ours, theirs)
        for one, other in zip(first, second, strict=True)
        for ours, theirs in zip(one["input"], other["input"], strict=True)
    )


def test_parts_are_served_for_callbacks_as_evaluation_sees_them():
    datamodule = shapes()
    datamodule.setup("fit")
    for part, sizes in {"train": [3, 3, 3, 2], "val": [3, 2]}.items():
        batches = list(datamodule.evaluation_batches(part, CPU))
        assert [len(batch["input"]) for batch in batches] == sizes
        assert indices(batches) == getattr(datamodule.split, part).tolist()
        image, target = datamodule.image_with_objects(part, 1)
        assert torch.equal(image, batches[0]["input"][1])
        assert torch.equal(target["boxes"], batches[0]["target"][1]["boxes"])


def test_the_validation_set_stays_when_the_training_set_changes():
    splits = []
    for train_size in (None, 4, 0.5):
        datamodule = shapes(train_size=train_size)
        datamodule.setup("fit")
        splits.append(datamodule.split)
    assert [len(split.train) for split in splits] == [11, 4, 6]
    assert len({tuple(split.val.tolist()) for split in splits}) == 1
    assert not set(splits[0].train.tolist()) & set(splits[0].val.tolist())


def test_the_report_counts_images_and_objects():
    datamodule = shapes(val_size=2, train_size=3)
    datamodule.setup("fit")
    report = datamodule.split_report()
    assert report["sizes"] == {"train": 3, "val": 2, "test": 100}
    counts = {
        part: sum(len(draw_shapes(0, number, 32).labels) for number in getattr(datamodule.split, part).tolist())
        for part in ("train", "val")
    }
    assert {part: report["objects"][part] for part in counts} == counts
    assert datamodule.num_classes == 3


def test_no_validation_is_possible(tmp_path):
    seen, datamodule = recorded(tmp_path, val_size=0)
    assert ("val", 0) not in seen
    assert len(datamodule.split.train) == 16


def test_a_data_set_gives_single_images_too():
    samples = [draw_shapes(0, number, 32) for number in range(4)]
    chosen = SegmentationDataset(samples, torch.tensor([3, 1]))
    assert len(chosen) == 2
    assert [int(chosen[position]["index"]) for position in (0, 1, -1)] == [3, 1, 1]
    assert torch.equal(chosen[0]["input"], samples[3].image)
    assert torch.equal(chosen[1]["target"]["masks"], samples[1].masks)
