import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo.datamodules import PennFudanDataModule
from tests.data.builders import write_instances


@pytest.fixture
def folder(tmp_path):
    """Twelve images with masks, without parts."""
    write_instances(tmp_path / "cells", 12)
    return tmp_path / "cells"


def module(at, **options):
    return PennFudanDataModule(**{"root": str(at.parent), "folder": at.name, "class_name": "cell"} | options)


def test_objects_are_those_in_the_files(folder):
    datamodule = module(folder, test_size=2, val_size=3)
    datamodule.setup("fit")
    assert (datamodule.num_classes, datamodule.class_names) == (1, ("cell",))
    names, _, chosen = datamodule._select(train=True)
    for place, position in enumerate(chosen):
        sample, number = datamodule.train_set.samples[place], int(names[position].removesuffix(".png"))
        image = np.asarray(Image.open(folder / "PNGImages" / f"{number:02}.png"))
        mask = np.asarray(Image.open(folder / "PedMasks" / f"{number:02}_mask.png"))
        assert np.array_equal(sample.image.permute(1, 2, 0).numpy(), image)
        assert sample.labels.tolist() == [1] * (1 + number % 3)
        for found, value in zip(sample.masks, (1, 3, 5), strict=False):
            assert np.array_equal(found.numpy(), mask == value)


def test_parts_are_disjoint_and_the_test_part_moves_with_nothing(folder):
    tests = []
    for seed, train_size in [(0, None), (1, 4)]:
        datamodule = module(folder, test_size=3, val_size=2, seed=seed, train_size=train_size)
        datamodule.setup("fit")
        assert len(datamodule.train_set) == (7 if train_size is None else 4)
        assert not set(datamodule.split.train.tolist()) & set(datamodule.split.val.tolist())
        names, _, chosen = datamodule._select(train=False)
        tests.append([names[position] for position in chosen])
        assert len(set(chosen) | set(datamodule._select(train=True)[2])) == 12
    assert tests[0] == tests[1]
    assert len(tests[0]) == 3


def test_folders_of_the_two_parts_are_taken_as_they_are(tmp_path):
    for part, count in {"train": 6, "test": 4}.items():
        write_instances(tmp_path / "nuclei" / part, count, seed=count)
    datamodule = module(tmp_path / "nuclei", val_size=2)
    datamodule.setup("fit")
    assert [len(each) for each in (datamodule.train_set, datamodule.val_set, datamodule.test_set)] == [4, 2, 4]
    report = datamodule.split_report()
    assert report["sizes"] == {"train": 4, "val": 2, "test": 4}
    assert report["objects"]["test"] == 1 + 2 + 3 + 1
    json.dumps(report)


def test_the_fingerprint_depends_on_the_training_files(folder):
    before = module(folder)
    before.setup("fit")
    for name, suffix in [("PNGImages", ""), ("PedMasks", "_mask")]:
        (folder / name / f"03{suffix}.png").rename(folder / name / f"30{suffix}.png")
    after = module(folder)
    after.setup("fit")
    assert before.fingerprint() != after.fingerprint()
    with pytest.raises(ValueError, match="another split of the data"):
        after.load_state_dict(before.state_dict())


def grey(path, pixels):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


DAMAGE = {
    "another size": (lambda at: grey(at / "PedMasks" / "04_mask.png", np.ones((5, 9))), r"04_mask\.png has 5×9 pixels"),
    "no object": (lambda at: grey(at / "PedMasks" / "04_mask.png", np.zeros((32, 36))), r"04_mask\.png has no object"),
    "colours": (lambda at: grey(at / "PedMasks" / "04_mask.png", np.ones((32, 36, 3))), r"04_mask\.png is not a mask"),
    "no mask": (lambda at: (at / "PedMasks" / "04_mask.png").unlink(), r"04\.png has no mask PedMasks/04_mask\.png"),
    "no image": (lambda at: (at / "PNGImages" / "04.png").unlink(), r"04_mask\.png has no image in PNGImages"),
    "a lossy mask": (
        lambda at: (at / "PedMasks" / "04_mask.png").rename(at / "PedMasks" / "04_mask.jpg"),
        r"04_mask\.jpg is a JPEG",
    ),
    "a damaged image": (lambda at: (at / "PNGImages" / "04.png").write_bytes(b"x"), r"04\.png cannot be read"),
    "a damaged mask": (lambda at: (at / "PedMasks" / "04_mask.png").write_bytes(b"x"), r"04_mask\.png cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_unusable_files_raise_or_are_left_out(name, folder):
    damage, message = DAMAGE[name]
    damage(folder)
    with pytest.raises(ValueError, match=message + r".*data\.corrupt to skip"):
        module(folder).setup("fit")
    datamodule = module(folder, corrupt="skip", test_size=2, val_size=2)
    with pytest.warns(UserWarning, match=r"1 images or masks are left out, 11 are used: .*" + message):
        datamodule.setup("fit")
    assert [len(each) for each in (datamodule.train_set, datamodule.val_set, datamodule.test_set)] == [7, 2, 2]
    assert len(datamodule.split_report()["left_out"]["all"]) == 1


def test_two_images_with_the_same_name_raise(folder):
    shutil.copy(folder / "PNGImages" / "04.png", folder / "PNGImages" / "04.bmp")
    with pytest.raises(ValueError, match=r"04\.png has the same name as \S+04\.bmp, up to .*; keep one"):
        module(folder).setup("fit")


def test_a_link_to_another_disk_is_followed(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere") / "x.png"
    before = module(folder)
    before.setup("fit")
    shutil.move(folder / "PNGImages" / "04.png", other)
    (folder / "PNGImages" / "04.png").symlink_to(other)
    after = module(folder)
    after.setup("fit")
    assert after.fingerprint() == before.fingerprint()


def test_absent_files_are_named_with_the_remedy(folder):
    shutil.rmtree(folder / "PedMasks")
    with pytest.raises(FileNotFoundError, match=r"PedMasks is absent: .*X_mask\.png.*data\.folder"):
        module(folder).setup("fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_size": 12}, r"data\.test_size 12|no training sample"),
        ({"test_size": 13}, r"data\.test_size: 13 requested, but only 12"),
        ({"test_size": 0}, r"data\.test_size: 0; give a count"),
        ({"corrupt": "ignore"}, r"data\.corrupt: 'ignore'"),
        ({"folder": ""}, r"data\.folder: is empty"),
        ({"train_size": 50}, r"train_size: 50 requested"),
    ],
)
def test_impossible_requests_are_refused(options, message, folder):
    with pytest.raises(ValueError, match=message):
        module(folder, **options).setup("fit")


def test_one_part_alone_is_refused(tmp_path):
    write_instances(tmp_path / "cells" / "train", 3)
    with pytest.raises(ValueError, match="has a folder train: it needs both train and test, or neither"):
        module(tmp_path / "cells").setup("fit")


def test_16_bit_masks_are_read(folder):
    mask = np.zeros((32, 36), np.uint16)
    mask[:4, :4], mask[8:, 8:] = 700, 65535
    Image.fromarray(mask).save(folder / "PedMasks" / "04_mask.png")
    datamodule = module(folder, test_size=1)
    names, samples, _ = datamodule._select(train=True)
    sample = samples[names.index("04.png")]
    assert sample.masks.flatten(1).sum(1).tolist() == [16, 24 * 28]
    assert sample.labels.dtype == torch.int64
