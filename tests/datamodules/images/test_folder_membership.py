"""Without test files of its own, a folder's images are assigned to the parts by their content."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.datamodules.image_folder import change_at_random, folder_data, noise, part_by_content, save, write_class

CLASSES = ("cat", "dog", "emu")
EXACT = {"near_duplicates": "keep", "size": 6}


def parts_of(folder, table=False, **options):
    """Returns file content -> part."""
    return part_by_content(folder, table, **(EXACT | options))


def write_pool(folder, count=90):
    for number, name in enumerate(CLASSES):
        write_class(folder / name, count // 3, side=4, seed=1000 * number)


@pytest.mark.parametrize("table", [False, True], ids=["folders", "table"])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_adding_removing_renaming_and_relabelling_moves_no_other_image(table, data):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "pets")
        write_pool(folder)
        before = parts_of(folder, table)
        change_at_random(folder, CLASSES, 60, data)
        after = parts_of(folder, table)
    assert {part for content, part in after.items() if content in before} == {"train", "val", "test"}
    assert {content: part for content, part in after.items() if content in before} == {
        content: part for content, part in before.items() if content in after
    }


def test_neither_the_place_nor_the_order_of_the_files_matters(tmp_path):
    write_pool(Path("pets"))
    other = shutil.copytree("pets", tmp_path / "elsewhere" / "animals")
    assert parts_of("pets") == parts_of(other)
    first, second = (folder_data(str(each), **EXACT) for each in ("pets", other))
    for each in (first, second):
        each.find_split()
    assert first.fingerprint() == second.fingerprint()
    assert first.split_options() == second.split_options()


def test_a_corrected_label_changes_the_fingerprint_and_no_part():
    write_pool(Path("pets"))
    trained = folder_data(**EXACT)
    trained.find_split()
    before = parts_of("pets")
    Path("pets/cat/000.png").rename("pets/dog/cat 000.png")
    corrected = folder_data(**EXACT)
    corrected.find_split()
    assert parts_of("pets") == before
    assert corrected.fingerprint() != trained.fingerprint()


def test_a_smaller_training_set_and_labels_are_drawn_by_content_too():
    write_pool(Path("pets"))
    options = {"num_labeled": 12, "train_size": 30, "val_size": 0.2}
    before = parts_of("pets", **options)
    for number in range(3):
        save(f"pets/cat/late {number}.png", noise(4, 4, seed=10**6 + number))
    after = parts_of("pets", **options)
    moved = [
        content for content in before if before[content] in ("val", "test") and after.get(content) != before[content]
    ]
    labeled = [content for content, part in before.items() if part == "train" and after.get(content) == "train"]
    assert (moved, len(labeled) >= 9) == ([], True)  # of three new images at most three replace a labeled one


def test_counts_are_those_asked_for():
    write_pool(Path("pets"))
    parts = list(parts_of("pets", val_size=10, test_size=15).values())
    assert [parts.count(part) for part in ("train", "val", "test")] == [65, 10, 15]


def test_copies_of_a_file_are_in_one_part():
    write_pool(Path("pets"))
    for path in sorted(Path("pets").rglob("*.png")):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    datamodule = folder_data(**EXACT)
    datamodule.setup("fit")
    parts = datamodule.split.parts() | {"test": range(len(datamodule.files["test"]))}
    assert sum(map(len, parts.values())) == 180
    assert set(parts_of("pets").values()) == {"train", "val", "test"}  # a dictionary by content: no content in two


def test_copies_with_different_labels_are_named():
    write_pool(Path("pets"))
    shutil.copy("pets/cat/003.png", "pets/dog/same.png")
    with pytest.warns(UserWarning, match=r"2 files have a copy with another label: cat/003\.png, dog/same\.png"):
        folder_data(**EXACT).setup("fit")


def photo(seed, detail=6):
    image = np.random.RandomState(seed).randint(0, 256, (detail, detail, 3), dtype=np.uint8)
    return Image.fromarray(image).resize((64, 64), Image.Resampling.BICUBIC)


def write_photos(suffix=".png", detail=6):
    for label, name in enumerate(CLASSES):
        for number in range(30):
            save(f"photos/{name}/{number:02}{suffix}", photo(100 * label + number, detail))


@pytest.mark.parametrize(
    ("suffix", "detail", "copy", "side"), [(".png", 6, ".jpg", 64), (".jpg", 40, ".png", 64), (".jpg", 40, ".png", 90)]
)
def test_near_duplicates_are_on_one_side_and_listed(suffix, detail, copy, side):
    write_photos(suffix, detail)
    for path in sorted(Path("photos").rglob(f"*{suffix}")):
        save(
            path.with_suffix(copy), Image.open(path).resize((side, side)), **({"quality": 80} if copy == ".jpg" else {})
        )
    datamodule = folder_data("photos", size=16)
    with pytest.warns(UserWarning, match=r"files are left out: .* \(like .*copies of images in another part"):
        datamodule.setup("fit")
    side = {}
    names = {part: [datamodule.files["train"][i] for i in each] for part, each in datamodule.split.parts().items()}
    for part, each in (names | {"test": datamodule.files["test"]}).items():
        for name in each:
            assert side.setdefault(Path(name).with_suffix(""), part) == part
    assert len(side) == 90  # of each image at least one file is kept
    left_out = datamodule.split_report()["left_out"]["duplicates"]
    assert len(left_out) == 180 - sum(len(each) for each in names.values()) - len(datamodule.files["test"]) > 20
    assert all(Path(text.split(" (like ")[0]).stem in text.split(" (like ")[1] for text in left_out)


def test_near_duplicates_can_be_kept():
    write_photos()
    save("photos/cat/00.jpg", Image.open("photos/cat/00.png"), quality=80)
    datamodule = folder_data("photos", size=16, near_duplicates="keep")
    datamodule.setup("fit")
    assert "left_out" not in datamodule.split_report()


def test_the_table_says_how_the_parts_came_about_and_what_is_missing(monkeypatch):
    write_pool(Path("pets"), 60)
    for number in range(20, 2, -1):
        os.remove(f"pets/emu/{number - 1:03}.png")
    datamodule = folder_data(**EXACT)
    datamodule.setup("fit")
    counts = datamodule.split_report()["per_class"]
    lacking = [part for part in ("val", "test") if counts[part][2] == 0]
    notes = datamodule.split_report()["notes"]
    assert "by a hash of its content: sizes and class fractions come out by chance" in notes[0]
    assert lacking
    assert notes[1:] == [f"no sample of emu in {part}" for part in lacking]


def test_a_class_without_a_training_image_is_refused():
    write_pool(Path("pets"))
    parts = parts_of("pets")
    for path in sorted(Path("pets/emu").glob("*.png")):
        if parts[path.read_bytes()] == "train":
            path.unlink()
    with pytest.raises(
        ValueError, match="class 'emu' has no training image: all of its images came into validation or"
    ):
        folder_data(**EXACT).setup("fit")
    assert folder_data(**EXACT, known_classes=["cat", "dog"]).setup("fit") is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test_size": 0}, r"data\.test_size: 0; give a count of at least 1"),
        ({"test_size": 1000}, r"data\.test_size: 1000 requested, but only 90 samples"),
        ({"near_duplicates": "drop"}, r"data\.near_duplicates: 'drop' is not one of leave_out, keep"),
        ({"val_size": 1.5}, r"data\.val_size: 1\.5 is not a fraction"),
    ],
)
def test_impossible_options_are_refused(options, words):
    write_pool(Path("pets"))
    with pytest.raises(ValueError, match=words):
        folder_data(**(EXACT | options)).setup("fit")


def test_a_test_size_with_test_files_is_refused():
    for part in ("train", "test"):
        write_pool(Path("pets", part), 9)
    with pytest.raises(ValueError, match=r"data\.test_size: 0\.3, but pets has test images of its own"):
        folder_data(**EXACT, test_size=0.3)
