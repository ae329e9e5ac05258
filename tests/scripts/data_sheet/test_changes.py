"""The sheet of single changes, and the folder of augmented images."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from litzoo.datamodules import DigitsDataModule
from litzoo.scripts.data_sheet.augmented import save_augmented
from litzoo.scripts.data_sheet.changes import CHANGES, draw_changes
from litzoo.scripts.data_sheet.command import main, show_data
from tests.datamodules.image_folder import folder_data, noise, save, write_pets
from tests.scripts.helpers import MLP

IMAGE = torch.from_numpy(noise(20, 20)).permute(2, 0, 1)


def changed(name, image=IMAGE):
    return CHANGES[name][0](image)


def test_every_change_of_the_source_is_there_and_named_after_a_transform_that_exists():
    for _, transform in CHANGES.values():
        assert hasattr(v2, transform.split("(")[0])
    for word in "mirrored upside shifted rotated sheared zoomed blurred brighter darker noise grey cropped".split():  # noqa: SIM905
        assert any(word in name for name in CHANGES), word


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("shape", [(3, 20, 20), (1, 28, 28), (3, 9, 30), (1, 5, 5)])
def test_a_change_keeps_shape_and_type_and_changes_something(name, shape):
    image = torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    after = changed(name, image)
    assert (after.shape, after.dtype) == (image.shape, torch.uint8)
    assert torch.equal(after, image) == (name == "grey" and shape[0] == 1)


def test_changes_are_what_their_names_say():
    assert torch.equal(changed("mirrored"), IMAGE.flip(2))
    assert torch.equal(changed("upside down"), IMAGE.flip(1))
    assert torch.equal(changed("shifted left")[:, :, :16], IMAGE[:, :, 4:])
    assert torch.equal(changed("shifted right")[:, :, 4:], IMAGE[:, :, :16])
    assert torch.equal(changed("shifted up")[:, :16], IMAGE[:, 4:])
    assert torch.equal(changed("shifted down")[:, 4:], IMAGE[:, :16])
    assert changed("brighter").float().mean() > IMAGE.float().mean() > changed("darker").float().mean()
    assert changed("blurred").float().std() < IMAGE.float().std() / 1.2
    grey = changed("grey")
    assert torch.equal(grey[0], grey[1])
    assert (changed("zoomed out")[:, [0, -1]] == 0).all()


def test_the_sheet_has_a_panel_for_each_change_of_images_of_two_classes():
    datamodule = DigitsDataModule(train_size=50)
    datamodule.setup("fit")
    panels = [panel for panel in draw_changes(datamodule).axes if panel.images]
    assert len(panels) == 2 * (1 + len(CHANGES))
    assert [panel.get_title() for panel in panels if panel.get_title()] == ["original", *CHANGES]


def test_augmented_images_are_written_by_class():
    write_pets(train=6)
    datamodule = folder_data(val_size=0, augment=v2.RandomInvert(1.0))
    datamodule.setup("fit")
    assert save_augmented(datamodule, Path("out"), 100) == 12
    assert save_augmented(datamodule, Path("few"), 4) == 4
    assert {path.parent.name for path in Path("few").rglob("*.png")} == {"cat", "dog"}
    for position, path in enumerate(sorted(Path("out").rglob("*.png"), key=lambda path: path.name)):
        sample = datamodule.train_set[position]
        assert path.parent.name == datamodule.class_names[sample["target"]]
        assert np.array_equal(np.asarray(Image.open(path)), 255 - sample["input"].permute(1, 2, 0).numpy())


def test_photos_are_drawn_and_written_as_training_sees_them():
    for name in ("cat", "dog"):
        for number in range(10):
            save(f"photos/{name}/{number}.png", noise(40, 50, seed=number))
    datamodule = folder_data("photos", size=16, original_size=True, augment=[v2.CenterCrop(16), v2.RandomInvert(1.0)])
    datamodule.setup("fit")
    save_augmented(datamodule, Path("out"), 3)
    written = sorted(Path("out").rglob("*.png"), key=lambda path: path.name)[0]
    stored = Image.open(Path("photos", datamodule.files["train"][int(datamodule.train_set.indices[0])]))
    expected = 255 - np.asarray(stored)[12:28, 17:33]
    assert np.array_equal(np.asarray(Image.open(written)), expected)


def test_weak_and_strong_views_are_written_beside_each_other():
    datamodule = DigitsDataModule(num_labeled=50, unlabeled_batch_size=20, augment="none")
    datamodule.setup("fit")
    assert save_augmented(datamodule, Path("out"), 3) == 6
    weak, strong = (sorted(path.name for path in Path("out", name).iterdir()) for name in ("weak", "strong"))
    assert weak == strong


def test_the_command_writes_the_folder_and_refuses_one_with_files(capsys, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["litzoo", "show-data", *MLP, "--augmented_folder=views", "--augmented_images", "5"]
    )
    main()
    assert "5 augmented images in views" in capsys.readouterr().out
    assert len(list(Path("views").rglob("*.png"))) == 5
    with pytest.raises(ValueError, match=r"--augmented_folder: views is not an empty folder"):
        show_data([*MLP, "--augmented_folder", "views"])
    for count in ("0", "many"):
        with pytest.raises(ValueError, match="--augmented_images"):
            show_data([*MLP, "--augmented_images", count])
