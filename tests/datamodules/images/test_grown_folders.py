"""A run resumed, and a checkpoint tested, after images were added, removed, renamed and relabelled."""

import warnings
from pathlib import Path

import pytest
import torch

from litzoo.datamodules import ImageFolderDataModule
from tests.datamodules.image_folder import folder_data, noise, save, write_class
from tests.datamodules.recording import Recorder, quiet_trainer
from tests.scripts.helpers import litzoo

CHECKPOINT = "trained.ckpt"


@pytest.fixture(autouse=True)
def pets():
    """Cats and dogs in two class folders."""
    for number, name in enumerate(("cat", "dog")):
        write_class(f"pets/{name}", 50, seed=100 * number)


def train(**options):
    datamodule, trainer = folder_data(**options), quiet_trainer(Path.cwd())
    trainer.fit(Recorder(), datamodule=datamodule)
    trainer.save_checkpoint(CHECKPOINT)
    return datamodule


def use(stage, epochs=2, **options):
    datamodule, recorder, trainer = folder_data(**options), Recorder(), quiet_trainer(Path.cwd(), epochs)
    getattr(trainer, stage)(recorder, datamodule=datamodule, ckpt_path=CHECKPOINT, weights_only=True)
    return datamodule, recorder


def contents(datamodule, part):
    names = datamodule.files["test"] if part == "test" else datamodule.files["train"]
    chosen = range(len(names)) if part == "test" else datamodule.split.parts()[part]
    return [Path("pets", names[i]).read_bytes() for i in chosen]


def grow(count=30):
    for number in range(count):
        save(f"pets/{('cat', 'dog')[number % 2]}/new {number}.png", noise(6, 6, seed=5000 + number))


@pytest.mark.parametrize(
    "options", [{}, {"test_size": 12, "val_size": 9}, {"num_labeled": 20, "unlabeled_batch_size": 8}]
)
def test_a_resumed_run_uses_the_samples_that_it_has_recorded(options):
    trained, unbroken = train(**options), Recorder()
    quiet_trainer(Path.cwd(), 2).fit(unbroken, datamodule=folder_data(**options))
    before = {part: contents(trained, part) for part in (*trained.split.parts(), "test")}
    Path("pets/cat/000.png").rename("pets/cat/zzz.png")
    grow()
    with pytest.warns(UserWarning, match=r"30 files are left out: cat/new .* \(new since the checkpoint; they wait"):
        resumed, recorder = use("fit", **options)
    assert {part: contents(resumed, part) for part in (*resumed.split.parts(), "test")} == before
    assert resumed.fingerprint() == trained.fingerprint()
    assert len(resumed.split_report()["left_out"]["new"]) == 30
    # Its second epoch is that of an unbroken run, though a file has another name.
    for part in ("labeled", "unlabeled") if "unlabeled_batch_size" in options else (None,):
        assert torch.equal(*(each.column("train", "index", 1, part) for each in (recorder, unbroken)))


@pytest.mark.parametrize("stage", ["fit", "validate"])
def test_validation_of_a_grown_folder_is_that_of_the_run(stage):
    before = contents(train(), "val")
    grow()
    with pytest.warns(UserWarning, match="new since the checkpoint"):
        datamodule, _ = use(stage)
    assert contents(datamodule, "val") == before


def test_absent_samples_are_named_when_resuming():
    trained = train()
    gone = [trained.files["train"][i] for i in trained.split.train[:4].tolist()]
    for name in gone:
        Path("pets", name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"4 of the \d+ images .* absent .*: {gone[0]}.*start a new run"):
        use("fit")


def test_corrected_labels_need_a_new_run_which_keeps_every_image_in_its_part():
    trained = train()
    name = trained.files["train"][int(trained.split.train[0])]
    Path("pets", name).rename(Path("pets", "dog" if name.startswith("cat") else "cat", "corrected.png"))
    with pytest.raises(ValueError, match=r"the labels in pets have changed since the checkpoint.*litzoo test"):
        use("fit")
    datamodule, _ = use("test")
    assert contents(datamodule, "test") == contents(trained, "test")


@pytest.mark.parametrize("stage", ["test", "predict"])
def test_a_checkpoint_is_tested_on_what_has_been_added(stage):
    before = set(contents(train(), "test"))
    grow()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*left out")
        datamodule, recorder = use(stage)
    after = set(contents(datamodule, "test"))
    assert before < after
    assert len(recorder.column(stage, "index")) == len(after)


def test_an_image_that_the_checkpoint_was_trained_on_is_not_tested():
    trained = train(test_size=20)
    seen = {content for part in trained.split.parts() for content in contents(trained, part)}
    tested = contents(trained, "test")
    for path in sorted(Path("pets").rglob("*.png")):
        if path.read_bytes() in tested[:8]:
            path.unlink()  # now the count takes eight others, which were trained on
    with pytest.warns(UserWarning, match=r"8 files are left out: .*would be tested, but the checkpoint was trained on"):
        datamodule, _ = use("test", test_size=20)
    assert set(contents(datamodule, "test")) == set(tested[8:])
    assert not seen & set(contents(datamodule, "test"))
    assert len(datamodule.split_report()["left_out"]["trained on"]) == 8


@pytest.mark.parametrize("stage", ["fit", "test"])
def test_other_options_are_refused_by_name(stage):
    train()
    with pytest.raises(ValueError, match=r"another split of the data.*data\.seed was 0, is 1\. "):
        use(stage, seed=1)


def test_the_datamodule_alone_restores_its_samples():
    trained = train()
    grow()
    loaded = ImageFolderDataModule.load_from_checkpoint(CHECKPOINT, folder="pets", root=".", val_size=0.2)
    with pytest.warns(UserWarning, match="new since the checkpoint"):
        loaded.setup("fit")
    assert loaded.fingerprint() == trained.fingerprint()
    assert contents(loaded, "test") == contents(trained, "test")


@pytest.mark.slow
def test_the_command_resumes_and_tests_a_grown_folder():
    options = ["--data=ImageFolderDataModule", "--data.folder=pets", "--data.val_size=0.2", "--model=MLPClassifier"]
    options += ["--model.hidden=[4]", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    first = litzoo("fit", *options, "--trainer.max_epochs=1")
    before = contents(first.datamodule, "train")
    grow()
    config = ["--config", str(first.run_folder / "config.yaml")]
    with pytest.warns(UserWarning, match="30 files are left out"):
        resumed = litzoo("fit", *config, "--trainer.max_epochs=2", "--ckpt_path=last")
    assert contents(resumed.datamodule, "train") == before
    tested = litzoo("test", *config)
    assert len(tested.datamodule.test_set) > len(first.datamodule.test_set)
