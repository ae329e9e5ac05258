import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torchvision

from litzoo.scripts.cli.main import main
from tests.counted import count
from tests.data.broken import link_to
from tests.data.mirrors import mnist_served
from tests.data.places import full_disk, read_only
from tests.scripts.helpers import CONFIGS, MLP, QUIET, SHORT, lines_of_error
from tests.scripts.refusals import tree

FIT = ["fit", *QUIET, *MLP, *SHORT]
MNIST = ["fit", *QUIET, "--config", str(CONFIGS / "mnist_mlp.yaml")]
ROOT = ["--data.root", "LITZOO_DATA_DIR"]
RUNS = ["--trainer.default_root_dir runs", "name another folder"]
FREE = ["No space left", "free some space"]


@pytest.fixture
def no_network(monkeypatch):
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", ["data/MNIST", "absent", *ROOT]),
        ("absent/folder", ["absent/folder/MNIST", "absent", *ROOT]),
        ("file", ["file/MNIST", "File exists", *ROOT]),
        ("file/folder", ["file/folder/MNIST", "Not a directory", *ROOT]),
        ("x" * 300, ["xxx", "306 characters", "File name too long", *ROOT]),
    ],
    ids=["empty", "absent", "file", "below a file", "too long"],
)
def test_data_folder_that_is_none_is_refused(value, words, refused, monkeypatch):
    Path("file").touch()
    monkeypatch.setenv("LITZOO_DATA_DIR", value)
    refused(MNIST, words)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda runs: runs.write_text(""), ["Not a directory"]),
        (link_to("runs"), ["symbolic links"]),
        (link_to("nothing"), ["File exists"]),
        (lambda runs: (runs.mkdir(), (runs / "digits_mlp").write_text("")), ["Not a directory", "digits_mlp"]),
    ],
    ids=["file", "link to itself", "link to nothing", "file for the experiment"],
)
def test_folder_of_runs_that_is_none_is_refused(make, words, refused):
    make(Path("runs"))
    refused(FIT, [*RUNS, *words])


@pytest.mark.parametrize("folder", ["runs", "data"])
def test_folder_that_cannot_be_written_into_is_refused(folder, refused):
    with read_only(Path(folder)):
        refused(
            FIT if folder == "runs" else MNIST, RUNS if folder == "runs" else ["data/MNIST", "cannot be created", *ROOT]
        )


def test_run_without_room_for_its_first_files_is_refused(refused):
    with full_disk(Path("runs"), room=4096):
        refused(FIT, FREE)


def test_test_without_room_for_its_predictions_is_refused_and_leaves_the_old_ones(trained, capsys, monkeypatch):
    old = trained / "predictions.csv"
    old.write_text("old")
    with full_disk(Path("disk"), room=12 * 2**20):
        shutil.copytree("runs", "disk/runs")
        room = os.statvfs("disk").f_bavail * os.statvfs("disk").f_frsize
        Path("disk/filler").write_bytes(bytes(room - 4096))  # enough for the lock
        command = ["predict", *QUIET, *MLP, "--trainer.default_root_dir=disk/runs"]
        assert "No space left" in "".join(lines_of_error(main, command, capsys, monkeypatch))
        left = tree(Path("disk/runs/digits_mlp/version_0"))
    assert left["predictions.csv"] == b"old"
    assert {name for name in left if name not in tree(trained) and "events.out" not in name} == set()


def test_download_without_room_is_refused_and_leaves_nothing(tiny_data, tmp_path_factory, refused):
    mirror = mnist_served(torchvision.datasets.MNIST, tiny_data, tmp_path_factory.mktemp("mirror"))
    with mirror, full_disk(Path("data"), room=2**16):
        refused(MNIST, ["data/MNIST", "No space left", *ROOT])
        assert not list(Path("data").iterdir())


def test_folder_that_is_gone_is_named(monkeypatch, tmp_path, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "working folder no longer exists; change into" in lines_of_error(main, FIT, capsys, monkeypatch)[0]


@pytest.mark.parametrize("subcommand", ["fit", "predict"])
def test_reader_that_ends_early_sees_no_traceback(subcommand, trained, monkeypatch, capsys):
    reading, writing = os.pipe()
    os.close(reading)
    before = tree(trained.parent)
    monkeypatch.setattr(sys, "argv", ["litzoo", subcommand, *QUIET, *MLP, *(SHORT if subcommand == "fit" else [])])
    with os.fdopen(writing, "w", buffering=1) as output:
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 1
    assert "Traceback" not in capsys.readouterr().err
    if subcommand == "fit":
        assert tree(trained.parent) == before
    count("inputs refused")


@pytest.mark.slow
def test_command_bears_an_environment_of_nonsense_and_a_reader_that_ends_early():
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    nonsense = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "OMP_NUM_THREADS": "many", "TERM": "none"}
    nonsense |= {"MPLBACKEND": "nonsense", "COLUMNS": "wide", "LITZOO_RUN_FOLDER": "elsewhere", "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-m", "litzoo", *FIT, "--trainer.enable_progress_bar=true"]
    options = {"env": kept | nonsense, "stderr": subprocess.PIPE, "text": True}  # without HOME
    with (
        subprocess.Popen([*command, "--experiment=read"], stdout=subprocess.PIPE, **options) as read,
        subprocess.Popen([*command, "--experiment=left"], stdout=subprocess.PIPE, **options) as left,
    ):
        left.stdout.close()
        output, errors = read.communicate(timeout=300)
        assert read.returncode == 0, errors
        assert "data: split 0" in output
        complaints = left.stderr.read()
        assert left.wait(timeout=300) != 0
        assert "Traceback" not in complaints
        assert "Exception ignored" not in complaints
    assert not Path("elsewhere").exists()
    assert {path.name for path in Path("runs").iterdir()} == {"read"}
    count("inputs refused", 2)
