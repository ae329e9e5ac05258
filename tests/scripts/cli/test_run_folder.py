import json
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_only

from litzoo.scripts.cli.run_folder import (
    RUN_FOLDER,
    discard_if_empty,
    new_run_folder,
    read_record,
    reset_run_folder,
    run_folder_of_checkpoint,
)


@pytest.fixture
def second_process(monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1, raising=False)


@pytest.mark.parametrize(
    ("present", "expected"),
    [([], 0), ([0], 1), ([0, 1, 2], 3), ([0, 7], 8), ([9, 10], 11)],
    ids=["none", "one", "three", "gap", "two digits"],
)
def test_version_is_one_above_the_highest(tmp_path, present, expected):
    for version in present:
        (tmp_path / "name" / f"version_{version}").mkdir(parents=True)
    folder = new_run_folder(tmp_path, "name")
    assert folder == tmp_path / "name" / f"version_{expected}"
    assert folder.is_dir()
    assert folder.is_absolute()


def test_folders_of_another_name_do_not_count(tmp_path):
    for name in ("version_copy", "version_3_old", "notes"):
        (tmp_path / "name" / name).mkdir(parents=True)
    assert new_run_folder(tmp_path, "name").name == "version_0"
    assert new_run_folder(tmp_path, "other").name == "version_0"


def test_relative_folder_survives_a_change_of_directory(tmp_path):
    assert new_run_folder(Path("runs"), "name") == tmp_path / "runs" / "name" / "version_0"


@pytest.mark.parametrize(
    "pool", [lambda: ThreadPoolExecutor(8), lambda: ProcessPoolExecutor(4, get_context("fork"))], ids=["thread", "fork"]
)
def test_runs_that_start_together_share_no_folder(tmp_path, pool):
    with pool() as executor:
        folders = list(executor.map(new_run_folder, [tmp_path] * 40, ["name"] * 40))
    assert {folder.name for folder in folders} == {f"version_{version}" for version in range(40)}


def test_second_process_takes_the_folder_of_the_first(tmp_path, monkeypatch):
    first = new_run_folder(tmp_path, "name")
    monkeypatch.setattr(rank_zero_only, "rank", 1, raising=False)
    assert new_run_folder(tmp_path, "name") == first
    assert [path.name for path in first.parent.iterdir()] == ["version_0"]


def test_second_process_of_a_launcher_makes_no_folder(tmp_path, second_process, monkeypatch):
    monkeypatch.delenv(RUN_FOLDER, raising=False)
    assert new_run_folder(tmp_path, "name") == tmp_path / "name" / "version_0"
    assert not (tmp_path / "name").exists()


def test_second_process_neither_forgets_nor_discards(tmp_path, monkeypatch):
    first = new_run_folder(tmp_path, "name")
    monkeypatch.setattr(rank_zero_only, "rank", 1, raising=False)
    reset_run_folder()
    discard_if_empty()
    assert os.environ[RUN_FOLDER] == str(first)
    assert first.is_dir()


@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_only_a_folder_without_checkpoint_is_discarded(tmp_path, has_checkpoint):
    earlier, failed = new_run_folder(tmp_path, "name"), new_run_folder(tmp_path, "name")
    (failed / "config.yaml").touch()
    if has_checkpoint:
        (failed / "checkpoints").mkdir()
        (failed / "checkpoints" / "last.ckpt").touch()
    discard_if_empty()
    assert earlier.is_dir()
    assert failed.is_dir() == has_checkpoint


@pytest.mark.parametrize(("epochs", "stays"), [(0, False), (1, True)])
def test_the_record_of_a_run_without_an_epoch_is_discarded_with_its_folder(tmp_path, epochs, stays):
    folder = new_run_folder(tmp_path, "name")
    (folder / "run.json").write_text(json.dumps({"command": "litzoo fit", "epochs": epochs}))
    discard_if_empty()
    assert folder.is_dir() == stays


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        ({"command": "litzoo fit"}, 7.5),
        ({"command": "litzoo fit --ckpt_path last"}, None),
        ({"command": "litzoo fit --ckpt_path last", "parts": 2}, 7.5),
    ],
    ids=["in one go", "resumed, of the last part alone", "resumed, of all parts"],
)
def test_the_seconds_of_a_run_are_those_of_all_its_parts_or_unknown(tmp_path, record, seconds):
    (tmp_path / "run.json").write_text(json.dumps({**record, "training_seconds": 7.5}))
    assert read_record(tmp_path) == {**record, "training_seconds": seconds}


def test_a_folder_without_record_tells_nothing(tmp_path):
    assert read_record(tmp_path) == {}


def test_folder_of_an_earlier_run_is_not_discarded(tmp_path):
    earlier = new_run_folder(tmp_path, "name")
    reset_run_folder()
    discard_if_empty()
    assert earlier.is_dir()


@pytest.mark.parametrize(
    ("checkpoint", "config", "expected"),
    [
        ("run/checkpoints/best.ckpt", "run/config.yaml", "run"),
        ("run/checkpoints/best.ckpt", "config.yaml", None),
        ("run/weights/best.ckpt", "run/config.yaml", None),
        ("best.ckpt", "config.yaml", None),
    ],
)
def test_run_folder_is_told_from_a_checkpoint_by_its_neighbours(tmp_path, checkpoint, config, expected):
    for file in (checkpoint, config):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert run_folder_of_checkpoint(Path(checkpoint)) == (tmp_path / expected if expected else None)
