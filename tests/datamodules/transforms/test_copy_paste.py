import pytest
import torch

from litzoo.datamodules import ShapesDataModule
from litzoo.datamodules.transforms.copy_paste import paste_objects
from litzoo.datamodules.transforms.masks import ImageWithMasks
from tests.datamodules.recording import Recorder, quiet_trainer


def rectangles(grey, *places, height=8, width=10):
    """An image of one grey with a rectangle for each place: class, rows, columns. Object k is 10 k brighter."""
    image = torch.full((3, height, width), grey, dtype=torch.uint8)
    masks = torch.zeros(len(places), height, width, dtype=torch.bool)
    for number, (_, rows, columns) in enumerate(places):
        masks[number, slice(*rows), slice(*columns)] = True
        image[:, masks[number]] = grey + 10 * (number + 1)
    return ImageWithMasks(image, torch.tensor([place[0] for place in places], dtype=torch.long), masks)


def pasted(onto, source, chosen, monkeypatch):
    """Pastes the objects chosen by number, as if they had been drawn."""
    drawn = torch.tensor([0.2 if number in chosen else 0.8 for number in range(len(source.labels))])
    monkeypatch.setattr(torch, "rand", lambda count, device: drawn[:count])
    return paste_objects(onto, source)


ONTO = rectangles(0, (1, (0, 4), (0, 4)), (2, (5, 8), (5, 10)))


def test_objects_that_were_drawn_lie_in_front_and_hide_what_is_behind(monkeypatch):
    source = rectangles(100, (3, (2, 6), (2, 6)), (1, (0, 2), (8, 10)))
    found = pasted(ONTO, source, {0}, monkeypatch)
    expected = ONTO.image.clone()
    expected[:, 2:6, 2:6] = 110
    assert torch.equal(found.image, expected)
    assert found.labels.tolist() == [1, 2, 3]
    assert found.masks.sum(dim=(1, 2)).tolist() == [16 - 4, 15 - 1, 16]
    assert (found.masks.sum(dim=0) <= 1).all()
    assert torch.equal(ONTO.image, rectangles(0, (1, (0, 4), (0, 4)), (2, (5, 8), (5, 10))).image)


@pytest.mark.parametrize(("columns", "stays_away"), [((0, 2), False), ((0, 3), True)])
def test_an_object_that_would_hide_more_than_half_of_another_is_left_out(columns, stays_away, monkeypatch):
    found = pasted(ONTO, rectangles(100, (3, (0, 4), columns)), {0}, monkeypatch)
    assert (len(found.labels) == 2) is stays_away
    assert torch.equal(found.image, ONTO.image) is stays_away


def test_what_two_objects_hide_together_is_no_object_any_more(monkeypatch):
    found = pasted(ONTO, rectangles(100, (3, (0, 4), (0, 2)), (3, (0, 4), (2, 4))), {0, 1}, monkeypatch)
    assert found.labels.tolist() == [2, 3, 3]
    assert found.masks.any(dim=(1, 2)).all()


@pytest.mark.parametrize(("size", "kept"), [((4, 6), [0]), ((12, 14), [0, 1])])
def test_a_source_of_another_size_is_cut_or_padded(size, kept, monkeypatch):
    places = [(3, (0, 2), (4, 6)), (3, (4, 5), (0, 3)), (3, (8, 12), (10, 14))][: 3 if size[0] == 12 else 1]
    source = rectangles(100, *places, height=size[0], width=size[1])
    found = pasted(ONTO, source, {0, 1, 2}, monkeypatch)
    assert found.image.shape == ONTO.image.shape
    assert len(found.labels) == 2 + len(kept)
    assert found.masks[2:].sum(dim=(1, 2)).tolist() == [4, 3][: len(kept)]
    expected = ONTO.image.clone()
    for number, (_, rows, columns) in enumerate(places[: len(kept)]):
        expected[:, slice(*rows), slice(*columns)] = 100 + 10 * (number + 1)
    assert torch.equal(found.image, expected)


def test_nothing_comes_of_nothing():
    empty = ImageWithMasks(ONTO.image, ONTO.labels[:0], ONTO.masks[:0])
    assert torch.equal(paste_objects(ONTO, empty).image, ONTO.image)
    assert len(paste_objects(empty, empty).labels) == 0


def test_half_of_the_objects_are_pasted():
    torch.manual_seed(0)
    source = rectangles(100, (3, (0, 2), (8, 10)))
    counts = [len(paste_objects(ONTO, source).labels) - 2 for _ in range(400)]
    assert sum(counts) / 400 == pytest.approx(0.5, abs=0.08)


def test_training_images_alone_get_objects_of_their_batch(tmp_path):
    recorder = Recorder()
    datamodule = ShapesDataModule(images=16, side=32, val_size=5, batch_size=4, eval_batch_size=3, copy_paste=True)
    torch.manual_seed(0)
    quiet_trainer(tmp_path, 1).fit(recorder, datamodule)
    more = 0
    for (part, _), batches in recorder.seen.items():
        for batch in batches:
            for index, image, target in zip(batch["index"], batch["input"], batch["target"], strict=True):
                original = datamodule.read(train=True)[int(index)]
                assert len(target["boxes"]) == len(target["labels"]) == len(target["masks"])
                assert (target["masks"].sum(dim=0) <= 1).all()
                added = len(target["labels"]) - len(original.labels)
                more += added if part == "train" else 0
                assert part == "train" or torch.equal(image, original.image / 255)
    assert more > 5


def test_a_batch_of_one_image_is_refused():
    with pytest.raises(
        ValueError, match=r"data\.copy_paste: needs two images in a batch, .*data\.batch_size is 1; give at least 2"
    ):
        ShapesDataModule(copy_paste=True, batch_size=1)
