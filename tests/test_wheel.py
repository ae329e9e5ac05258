"""The wheel, installed into an environment of its own and used in a folder that has packages of our folders' names."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("litzoo", "callbacks", "configs", "datamodules", "lit_modules", "scripts")
THEIRS = ("callbacks", "datamodules", "lit_modules", "scripts")
ONE_EPOCH = "--trainer.max_epochs=1"
SHORT = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", ONE_EPOCH]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Builds the wheel from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "source")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An environment that has the wheel, and all else from the present one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    # The .pth files of a folder that a .pth file names, such as that of an editable litzoo, are not read.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "present.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip("--python", python, "install", "--no-deps", "--no-index", wheel)
    return folder


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A user's folder, with packages that are named like ours, one of which has a callback."""
    monkeypatch.chdir(tmp_path)
    for name in THEIRS:
        Path(name).mkdir()
        Path(name, "__init__.py").write_text("")
    Path("callbacks/__init__.py").write_text(
        "from pathlib import Path\nfrom lightning.pytorch import Callback\n\n\n"
        "class Notes(Callback):\n    def on_fit_end(self, *_):\n        Path('noted').touch()\n"
    )
    return tmp_path


def output_of(words, cwd=None):
    """Runs a command that does not see the sources, nor data; returns what it prints."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LITZOO_DATA_DIR")}
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env={**kept, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def pip(*words):
    output_of([sys.executable, "-m", "pip", "--quiet", *map(str, words)])


def litzoo(environment, *words):
    return output_of([environment / "bin" / "litzoo", *words])


def test_the_only_top_level_name_is_litzoo_and_the_configs_are_in_it(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"litzoo"}
    configs = {Path(name).name for name in names if name.startswith("litzoo/configs/") and name.endswith(".yaml")}
    assert configs == {path.name for path in (ROOT / "configs").glob("*.yaml")}
    packed = {name.removeprefix("litzoo/") for name in names if name.endswith(".py")}
    there = {path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    left_out = {name for name in there if name.startswith(("scripts/benchmarks/", "scripts/docs/"))}
    assert left_out
    assert packed == {name.removeprefix("litzoo/") for name in there - left_out}
    assert "litzoo/py.typed" in names


def test_it_trains_and_compares_beside_packages_of_the_same_names(environment, theirs):
    printed = litzoo(environment, "fit", "--config", "digits_mlp", *SHORT, "--trainer.callbacks+=callbacks.Notes")
    assert "test/acc" in printed
    assert Path("noted").is_file()
    assert "litzoo.MLPClassifier" in Path("runs/digits_mlp/version_0/config.yaml").read_text()

    compared = litzoo(environment, "compare", "digits_mlp", "digits_cnn", "--seeds", "0", "--common", ONE_EPOCH)
    assert "digits_cnn" in compared
    assert Path("runs/compare_digits_mlp_vs_digits_cnn/curves.png").is_file()


def test_configs_are_listed_copied_and_overridden_by_a_file_here_whose_data_are_shown(environment, theirs):
    listed = litzoo(environment, "configs")
    assert len(listed.splitlines()) == len(list((ROOT / "configs").glob("*.yaml")))
    assert "digits_mlp" in listed
    litzoo(environment, "configs", "copy", "digits_mlp")
    assert Path("digits_mlp.yaml").read_text() == (ROOT / "configs" / "digits_mlp.yaml").read_text()
    Path("digits_mlp.yaml").write_text(Path("digits_mlp.yaml").read_text() + "\nexperiment: here\n")
    litzoo(environment, "show-data", "--config", "digits_mlp")
    assert Path("runs/here/data/data_sheet.png").is_file()


def test_what_needs_no_torch_imports_none(environment):
    program = "import sys; from litzoo.__main__ import main; main(); sys.exit('torch' in sys.modules)"
    for command in ("", "--version", "--help", "configs"):
        words = [environment / "bin" / "python", "-c", program, *command.split()]
        output_of(words, cwd=environment)
