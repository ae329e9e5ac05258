import os
import resource
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from lightning.pytorch.plugins.io import AsyncCheckpointIO

from litzoo.callbacks import AtomicCheckpointIO, LastCheckpoint
from litzoo.callbacks.checkpoints.atomic_io import write_atomically
from tests.callbacks.kills import differing
from tests.callbacks.scripted import Scripted
from tests.counted import count
from tests.training import cpu_trainer

PLACE = Path("checkpoints/last.ckpt")
OLD, NEW = ({"state_dict": {"weight": torch.full((5000,), float(number))}, "epoch": number} for number in range(2))
SENTINEL = Path("the-code-ran")


def save(content):
    AtomicCheckpointIO().save_checkpoint(content, str(PLACE))


def assert_holds(content):
    assert differing(AtomicCheckpointIO().load_checkpoint(PLACE), content) == []
    assert [path.name for path in PLACE.parent.iterdir()] == [PLACE.name]


def test_what_was_saved_is_loaded_and_nothing_else_is_left():
    save(OLD)
    save(NEW)
    assert_holds(NEW)


@contextmanager
def no_space_left():
    """Has the file be written to a device that is always full."""
    PLACE.with_name(f".{PLACE.name}.{os.getpid()}.partial").symlink_to("/dev/full")
    yield


@contextmanager
def files_limited():
    """Lets no file grow beyond a kilobyte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("full", [no_space_left, files_limited])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_leaves_the_checkpoint_before_and_says_what_to_do(full):
    save(OLD)
    with full(), pytest.raises(OSError, match=r"^checkpoints/last.ckpt: cannot be written, .*") as raised:
        save(NEW)
    assert "what was there before is untouched. Free some space" in str(raised.value)
    assert "--ckpt_path last" in str(raised.value)
    assert_holds(OLD)
    count("inputs refused")


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("broken"), MemoryError()], ids=repr)
def test_a_write_that_is_ended_leaves_the_checkpoint_before(step, error):
    save(OLD)
    with patch.object(os, step, side_effect=error), pytest.raises(type(error)):
        save(NEW)
    assert_holds(OLD)


def test_it_is_on_the_disk_before_it_takes_the_place_of_the_one_before():
    done = []
    synced, moved = (lambda *_, what=what: done.append(what) for what in ("synced", "moved"))
    with patch.object(os, "fsync", synced), patch.object(os, "replace", moved):
        save(OLD)
    assert done == ["synced", "moved"]


@pytest.mark.parametrize("kind", ["folder", "file in place of its folder"])
def test_a_place_that_cannot_be_written_to_is_named(kind):
    if kind == "folder":
        PLACE.mkdir(parents=True)
    else:
        PLACE.parent.touch()
    with pytest.raises(OSError, match=r"last.ckpt: cannot be written, .*Remove the cause, or choose another"):
        save(NEW)
    assert len(list(Path().rglob("*"))) == 1 + (kind == "folder")
    count("inputs refused")


class RunsCode:
    """Unpickled, it leaves a file behind."""

    def __reduce__(self):
        return Path.touch, (SENTINEL,)


@pytest.mark.parametrize("asked", [None, False, True])
def test_code_in_a_checkpoint_is_not_run_whatever_is_asked_for(asked):
    PLACE.parent.mkdir()
    torch.save({**NEW, "extra": RunsCode()}, PLACE)
    with pytest.raises(Exception, match=r"[Ww]eights"):
        AtomicCheckpointIO().load_checkpoint(PLACE, weights_only=asked)
    assert not SENTINEL.exists()


def test_places_that_are_no_files_are_left_to_lightning():
    AtomicCheckpointIO().save_checkpoint(NEW, "memory://bucket/last.ckpt")
    assert differing(AtomicCheckpointIO().load_checkpoint("memory://bucket/last.ckpt"), NEW) == []
    with pytest.raises(TypeError, match="storage_options"):
        AtomicCheckpointIO().save_checkpoint(NEW, "last.ckpt", storage_options={"key": "value"})


class Own(AtomicCheckpointIO):
    """The user's."""


@pytest.mark.parametrize(
    ("given", "expected"),
    [([], AtomicCheckpointIO), ([Own()], Own), ([AsyncCheckpointIO()], AsyncCheckpointIO)],
    ids=["none", "own", "wrapped"],
)
def test_a_trainer_writes_so_unless_the_user_has_chosen_another_way(given, expected):
    trainer = cpu_trainer(plugins=given, callbacks=[LastCheckpoint()], enable_checkpointing=True)
    write_atomically(trainer)
    assert type(trainer.strategy.checkpoint_io) is expected
    trainer.fit(Scripted())
    assert torch.load("run/checkpoints/last.ckpt", weights_only=True)["epoch"] == 0
