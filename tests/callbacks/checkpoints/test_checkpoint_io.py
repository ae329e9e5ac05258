import os
import resource
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from lightning.pytorch.plugins.io import AsyncCheckpointIO

from litzoo.callbacks import AtomicCheckpointIO, LastCheckpoint
from litzoo.callbacks.checkpoints.atomic_io import use_atomic_checkpoints
from tests.callbacks.kills import differences
from tests.callbacks.scripted import Scripted
from tests.counted import count
from tests.training import cpu_trainer

PLACE = Path("checkpoints/last.ckpt")
OLD, NEW = ({"state_dict": {"weight": torch.full((5000,), float(number))}, "epoch": number} for number in range(2))
SENTINEL = Path("the-code-ran")


def save(content):
    AtomicCheckpointIO().save_checkpoint(content, str(PLACE))


def assert_holds(content):
    assert differences(AtomicCheckpointIO().load_checkpoint(PLACE), content) == []
    assert [path.name for path in PLACE.parent.iterdir()] == [PLACE.name]


def test_a_saved_checkpoint_is_loaded_and_no_other_file_is_left():
    save(OLD)
    save(NEW)
    assert_holds(NEW)


@contextmanager
def no_space_left():
    """Redirects the temporary file to a device that is always full."""
    PLACE.with_name(f".{PLACE.name}.{os.getpid()}.partial").symlink_to("/dev/full")
    yield


@contextmanager
def files_limited():
    """Limits the size of files to a kilobyte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("full", [no_space_left, files_limited])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_leaves_the_previous_checkpoint_and_names_the_fix(full):
    save(OLD)
    with full(), pytest.raises(OSError, match=r"^checkpoints/last.ckpt: cannot be written, .*") as raised:
        save(NEW)
    assert "the previous file is unchanged. Free some space" in str(raised.value)
    assert "--ckpt_path last" in str(raised.value)
    assert_holds(OLD)
    count("inputs refused")


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("broken"), MemoryError()], ids=repr)
def test_an_interrupted_write_leaves_the_previous_checkpoint(step, error):
    save(OLD)
    with patch.object(os, step, side_effect=error), pytest.raises(type(error)):
        save(NEW)
    assert_holds(OLD)


def test_a_checkpoint_is_synced_before_it_replaces_the_previous_one():
    done = []
    synced, moved = (lambda *_, what=what: done.append(what) for what in ("synced", "moved"))
    with patch.object(os, "fsync", synced), patch.object(os, "replace", moved):
        save(OLD)
    assert done == ["synced", "moved"]


@pytest.mark.parametrize("kind", ["folder", "file in place of its folder"])
def test_an_unwritable_path_is_named(kind):
    if kind == "folder":
        PLACE.mkdir(parents=True)
    else:
        PLACE.parent.touch()
    with pytest.raises(OSError, match=r"last.ckpt: cannot be written, .*Remove the cause, or choose another"):
        save(NEW)
    assert len(list(Path().rglob("*"))) == 1 + (kind == "folder")
    count("inputs refused")


class RunsCode:
    """Creates a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (SENTINEL,)


@pytest.mark.parametrize("weights_only", [None, False, True])
def test_code_in_a_checkpoint_is_never_run(weights_only):
    PLACE.parent.mkdir()
    torch.save({**NEW, "extra": RunsCode()}, PLACE)
    with pytest.raises(Exception, match=r"[Ww]eights"):
        AtomicCheckpointIO().load_checkpoint(PLACE, weights_only=weights_only)
    assert not SENTINEL.exists()


def test_remote_paths_are_left_to_lightning():
    AtomicCheckpointIO().save_checkpoint(NEW, "memory://bucket/last.ckpt")
    assert differences(AtomicCheckpointIO().load_checkpoint("memory://bucket/last.ckpt"), NEW) == []
    with pytest.raises(TypeError, match="storage_options"):
        AtomicCheckpointIO().save_checkpoint(NEW, "last.ckpt", storage_options={"key": "value"})


class Own(AtomicCheckpointIO):
    """A user's own checkpoint IO."""


@pytest.mark.parametrize(
    ("given", "expected"),
    [([], AtomicCheckpointIO), ([Own()], Own), ([AsyncCheckpointIO()], AsyncCheckpointIO)],
    ids=["none", "own", "wrapped"],
)
def test_a_trainer_uses_it_unless_the_user_has_set_another_checkpoint_io(given, expected):
    trainer = cpu_trainer(plugins=given, callbacks=[LastCheckpoint()], enable_checkpointing=True)
    use_atomic_checkpoints(trainer)
    assert type(trainer.strategy.checkpoint_io) is expected
    trainer.fit(Scripted())
    assert torch.load("run/checkpoints/last.ckpt", weights_only=True)["epoch"] == 0
