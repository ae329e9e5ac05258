import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance

from litzoo.datamodules.splits import near_duplicates
from litzoo.datamodules.splits.near_duplicates import SIDE, exact_pairs, find_pairs, newcomers


def scene(seed, size=96):
    """Draws smooth random shapes, as photos have them."""
    rng = np.random.RandomState(seed)
    image = Image.fromarray(rng.randint(0, 256, (6, 6, 3), dtype=np.uint8)).resize(
        (size, size), Image.Resampling.BICUBIC
    )
    ImageDraw.Draw(image).ellipse(
        sorted(rng.randint(0, size, 2).tolist()) * 2, fill=tuple(rng.randint(0, 256, 3).tolist())
    )
    return image


def small(image):
    image = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def pairs_of(first, second):
    images = torch.stack([*map(small, first), *map(small, second)])
    pairs = find_pairs(images, torch.arange(len(first)), torch.arange(len(first), len(images)))
    return [(one, other - len(first)) for one, other in pairs]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: jpeg(image, 75),
        lambda image: jpeg(image, 40),
        lambda image: image.resize((48, 48)),
        lambda image: image.resize((200, 200)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.03),
    ],
    ids=["JPEG 75", "JPEG 40", "half size", "double size", "brighter"],
)
def test_the_same_picture_in_another_file_is_found_and_no_other(change):
    images = [scene(seed) for seed in range(40)]
    assert sorted(pairs_of(images, [change(image) for image in images])) == [(number, number) for number in range(40)]


def test_colour_and_brightness_count():
    shapes = []
    for colour in ("red", "blue", "darkred", "white"):
        shapes.append(Image.new("RGB", (64, 64), "black"))
        ImageDraw.Draw(shapes[-1]).ellipse((10, 10, 40, 40), fill=colour)
    assert pairs_of(shapes[:1], shapes[1:]) == []


def test_plain_images_are_like_no_other():
    assert pairs_of([Image.new("RGB", (32, 32), "white")] * 3, [Image.new("RGB", (32, 32), "white")]) == []


def test_digits_are_not_each_others_copies():
    from litzoo.datamodules import DigitsDataModule

    images, _ = DigitsDataModule().read(train=True)
    pictures = [Image.fromarray(image[0].numpy()) for image in images]
    assert len(pairs_of(pictures[:700], pictures[700:])) <= 2


@pytest.mark.parametrize("chunk", [7, 2048])
def test_the_quick_test_loses_no_pair(chunk, monkeypatch):
    monkeypatch.setattr(near_duplicates, "_CHUNK", chunk)
    rng = np.random.RandomState(0)
    base = rng.randint(0, 256, (60, 3, SIDE, SIDE)).astype(float)
    changed = base + rng.randn(60, 1, 1, 1) * rng.randn(*base.shape) * 8
    images = torch.from_numpy(np.concatenate([base, changed]).clip(0, 255).astype(np.uint8))
    flat = images.double().flatten(1)
    expected = {
        (i, j)
        for i in range(60)
        for j in range(60, 120)
        if (flat[i] - flat[j]).square().mean()
        <= near_duplicates.TOLERANCE**2 * min(flat[i].var(correction=0), flat[j].var(correction=0))
    }
    assert 20 < len(expected) < 60
    assert set(find_pairs(images, torch.arange(60), torch.arange(60, 120))) == expected


def test_exact_copies_in_different_parts_are_pairs():
    assert exact_pairs(["a", "b", "a", "c", "a", "b"], [0, 0, 1, 1, 0, 0]) == [(0, 2), (2, 4)]


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)).filter(lambda pair: pair[0] != pair[1])))
def test_of_no_pair_both_are_kept_and_none_is_left_out_without_reason(pairs):
    order = list(np.random.RandomState(1).permutation(20))
    left_out = newcomers(pairs, order)
    assert all(one in left_out or other in left_out for one, other in pairs)
    for sample, original in left_out.items():
        assert original not in left_out
        assert order.index(original) < order.index(sample)


PAIRS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)).filter(lambda pair: pair[0] != pair[1]))


@given(PAIRS, st.sets(st.integers(0, 19)))
def test_dropped_samples_cause_no_other_to_be_left_out_and_nothing_else_changes(pairs, dropped):
    order = list(np.random.RandomState(1).permutation(20))
    before, left_out = newcomers(pairs, order), newcomers(pairs, order, dropped)
    assert set(left_out) <= set(before)
    for one, other in pairs:  # on both sides of a split there is no pair that is used
        assert {one, other} & {*left_out, *dropped}
    for original in left_out.values():
        assert original not in {*left_out, *dropped}
