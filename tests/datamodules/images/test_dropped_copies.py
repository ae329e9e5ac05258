"""A file that corrections drop takes no other with it: its copies come back, and nothing else moves."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datamodules.image_folder import folder_data, save, write_class, write_pets
from tests.datamodules.recording import Recorder, quiet_trainer
from tests.datamodules.splits.test_corrections import write

CHECKPOINT = "trained.ckpt"


def picture(seed):
    pixels = np.random.RandomState(seed).randint(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((48, 48), Image.Resampling.BICUBIC)


@pytest.fixture(autouse=True)
def photos():
    """Cats and dogs, and a newly encoded copy of each cat among the dogs."""
    for number in range(40):
        save(f"photos/cat/{number:02}.png", picture(number))
        save(f"photos/dog/{number:02}.png", picture(1000 + number))
        save(f"photos/dog/copy {number:02}.jpg", picture(number), quality=80)


def read(stage="fit", **options):
    datamodule = folder_data("photos", size=16, **options)
    datamodule.setup(stage)
    return datamodule


def parts_of(datamodule):
    """Returns name of a file -> its part, without dropped ones."""
    parts = {part: datamodule.split.parts()[part] for part in ("train", "val")}
    found = {datamodule.files["train"][each]: part for part, own in parts.items() for each in own.tolist()}
    return found | {datamodule.files["test"][each]: "test" for each in datamodule.test_set.indices.tolist()}


def left_out(datamodule):
    """Returns name of a file that is left out -> the file that it is like."""
    texts = datamodule.split_report()["left_out"]["duplicates"]
    return dict(text.split(";")[0].rstrip(")").split(" (like ") for text in texts)


def wrong_copies():
    """Returns the copies among the dogs for which cats are left out, and what they take with them."""
    return {other: name for name, other in left_out(read()).items() if name.startswith("cat")}


def drop(names):
    return write([{"file": name, "action": "drop", "given": name.split("/")[0]} for name in names])


def test_the_right_original_comes_back_when_its_wrong_copy_is_dropped_and_nothing_else_moves():
    before, pairs = parts_of(read()), wrong_copies()
    assert len(pairs) >= 3
    dropped = list(pairs)[:2]
    corrected = read(corrections=drop(dropped))
    own_parts = parts_of(read(near_duplicates="keep"))
    back = {pairs[name]: own_parts[pairs[name]] for name in dropped}
    assert parts_of(corrected) == {name: part for name, part in before.items() if name not in dropped} | back
    assert not set(back) & set(left_out(corrected))


def test_the_warning_names_the_labels_of_copies_that_were_left_out():
    with pytest.warns(
        UserWarning, match=r"of these have another label than the copy that stayed: cat/\d\d\.png \(cat\) "
    ):
        datamodule = read()
    texts = datamodule.split_report()["left_out"]["duplicates"]
    assert all(text.endswith("; labelled cat, not dog)") for text in texts if text.startswith("cat"))
    relabelled = [
        {"file": f"dog/copy {number:02}.jpg", "action": "relabel", "label": "cat", "given": "dog"}
        for number in range(40)
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*another label than")
        assert left_out(read(corrections=write(relabelled))) == left_out(datamodule)


@pytest.mark.parametrize("action", ["drop", "relabel"])
def test_of_exact_copies_only_those_that_are_left_and_still_differ_are_named(action):
    for number in (3, 4):
        shutil.copy(f"photos/cat/{number:02}.png", f"photos/dog/same {number}.png")
    row = {"file": "dog/same 3.png", "given": "dog", "action": action, "label": "cat" if action == "relabel" else ""}
    with pytest.warns(UserWarning, match=r"2 files have a copy with another label: cat/04\.png, dog/same 4\.png \("):
        read(corrections=write([row]))


def test_without_a_difference_that_is_left_nothing_is_said():
    shutil.copy("photos/cat/03.png", "photos/dog/same.png")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*a copy with another label")
        read(corrections=drop(["dog/same.png"]))


def train(**options):
    datamodule, trainer = folder_data("photos", size=16, **options), quiet_trainer(Path.cwd())
    trainer.fit(Recorder(), datamodule=datamodule)
    trainer.save_checkpoint(CHECKPOINT)
    return datamodule


def use(stage, **options):
    datamodule, trainer = folder_data("photos", size=16, **options), quiet_trainer(Path.cwd(), 2)
    getattr(trainer, stage)(Recorder(), datamodule=datamodule, ckpt_path=CHECKPOINT, weights_only=True)
    return datamodule


def test_a_resumed_run_and_a_test_of_it_have_the_same_samples():
    file = drop(wrong_copies())
    trained = train(corrections=file)
    resumed = use("fit", corrections=file)
    assert parts_of(resumed) == parts_of(trained)
    tested = use("test", corrections=file)
    names = [tested.files["test"][each] for each in tested.test_set.indices.tolist()]
    assert sorted(names) == sorted(name for name, part in parts_of(trained).items() if part == "test")
    report = tested.split_report()
    assert "trained on" not in report["left_out"]
    assert report["corrections"]["dropped"]["test"] == trained.split_report()["corrections"]["dropped"]["test"] > 0


def pictures_of(names):
    return {
        name.split("/")[-1].removeprefix("copy ").split(".")[0] for name in names if "cat" in name or "copy" in name
    }


def test_no_image_is_tested_that_the_checkpoint_was_trained_on_a_copy_of():
    own_parts = parts_of(read(near_duplicates="keep"))
    plain = train()
    used = [name for name, part in parts_of(plain).items() if part != "test"]
    returning = [copy for copy, name in wrong_copies().items() if own_parts[name] == "test" and copy in used]
    assert returning
    with pytest.warns(UserWarning, match="would be tested, but the checkpoint was trained on them"):
        tested = use("test", corrections=drop(returning))
    names = tested.files["test"]
    assert len(names) >= 10
    assert not pictures_of(names) & pictures_of(used)
    # A new run tests them.
    assert {wrong_copies()[copy] for copy in returning} <= set(parts_of(read(corrections=drop(returning))))


def test_nor_when_a_checkpoint_that_was_trained_with_corrections_is_tested_without():
    own_parts = parts_of(read(near_duplicates="keep"))
    pairs = wrong_copies()
    tested_before = [copy for copy, name in pairs.items() if own_parts[copy] == "test" and own_parts[name] == "train"]
    assert tested_before
    trained = train(corrections=drop(tested_before))
    used = [name for name, part in parts_of(trained).items() if part != "test"]
    assert {pairs[copy] for copy in tested_before} <= set(used)
    tested = use("test")
    assert not pictures_of(tested.files["test"]) & pictures_of(used)


def test_copies_in_a_test_folder_are_not_named_once_they_are_dropped():
    write_pets("own")
    for name in ("cat", "dog"):
        shutil.copy(f"own/train/{name}/000.png", f"own/test/{name}/copy.png")
    with pytest.warns(UserWarning, match="2 test images are copies of training images"):
        folder_data("own").setup("fit")
    rows = [{"file": f"{part}.png", "action": "drop"} for part in ("test/cat/copy", "train/dog/000")]
    file = write(rows)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*copies? of a? ?training")
        datamodule = folder_data("own", corrections=file)
        trainer = quiet_trainer(Path.cwd())
        trainer.fit(Recorder(), datamodule=datamodule)
        trainer.save_checkpoint(CHECKPOINT)
        again = folder_data("own", corrections=file)
        trainer.test(Recorder(), datamodule=again, ckpt_path=CHECKPOINT, weights_only=True)


def test_with_positions_in_the_file_nothing_comes_back_so_that_they_stay_what_they_are():
    plain, pairs = read(), wrong_copies()
    rows = [{"file": name, "index": "", "action": "drop"} for name in pairs]
    rows.append({"file": "", "index": int(plain.split.train[0]), "action": "keep"})
    assert left_out(read(corrections=write(rows))) == left_out(plain)


def test_a_pool_image_comes_back_too():
    write_class("pool", 9, seed=5)
    save("pool/copy.jpg", picture(1001), quality=80)
    options = {"unlabeled_folder": "pool", "unlabeled_batch_size": 4}
    assert len(read(**options).split.unlabeled) == 9
    assert len(read(**options, corrections=drop(["dog/01.png"])).split.unlabeled) == 10
