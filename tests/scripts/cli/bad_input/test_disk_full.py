"""A disk that is full in the middle of a training: a small one of its own, where mounting is allowed."""

import shutil
import subprocess

import pytest
from lightning.pytorch import Callback

from litzoo.scripts.cli.main import main
from tests.callbacks.kills import differences
from tests.counted import count
from tests.scripts.helpers import MLP, QUIET, lines_of_error, litzoo
from tests.test_configs import results_in

FIT = ["fit", *QUIET, *MLP, "--trainer.limit_train_batches=3", "--trainer.max_epochs=3", "--test_after_fit=false"]
SMALL = "--trainer.default_root_dir=disk"


class FillsDisk(Callback):
    """Leaves no byte of the disk in the second epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            with open("disk/filler", "wb", buffering=0) as filler:
                try:
                    while filler.write(bytes(1000)):
                        pass
                except OSError:
                    return


def mount(folder, size, *options):
    tool = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", ",".join([*options, f"size={size}"]), "none", str(folder)]
    return tool and subprocess.run([tool, *options], capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for two checkpoints, of 2.9 MB each, and no third one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount(disk, 7_500_000):
        pytest.skip("no file system can be mounted here; test_checkpoint_io.py tries a device that is full")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def numbers_in(folder):
    """Returns the metrics of a training, and the weights in its checkpoints: paths in them differ."""
    results = results_in(folder)
    return {name: results[name].get("state_dict", results[name]) for name in results}


@pytest.mark.parametrize("filled", [[], ["--trainer.callbacks+=tests.scripts.cli.bad_input.test_disk_full.FillsDisk"]])
def test_a_full_disk_leaves_checkpoints_to_go_on_with(filled, small_disk, monkeypatch, capsys):
    expected = numbers_in(litzoo(*FIT).run_folder)
    place = f"disk/digits_mlp/version_0/{'run.json' if filled else 'checkpoints/best.ckpt'}"
    (line, _) = lines_of_error(main, [*FIT, SMALL, *filled], capsys, monkeypatch)
    assert line.startswith(f"litzoo: error: {place}: cannot be written, No space left on device; the previous file")
    assert "Free some space" in line
    assert not list(small_disk.rglob("*.partial"))
    count("inputs refused")

    assert mount(small_disk, 20_000_000, "remount")
    assert differences(numbers_in(litzoo(*FIT, SMALL, "--ckpt_path=last").run_folder), expected) == []
    count("kills survived")
