import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from litzoo.datamodules import TableDataModule
from litzoo.scripts.cli.classes import class_at
from litzoo.scripts.data_sheet.command import main, show_data
from tests.scripts.helpers import CONFIGS, MLP, TABLE, files_in, lines_of_error
from tests.test_configs import EVERY_CONFIG, covering, fitting

TABLES = [
    path
    for path in EVERY_CONFIG
    if issubclass(class_at(yaml.safe_load(path.read_text(encoding="utf-8"))["data"]["class_path"]), TableDataModule)
]
WITH_IMAGES = [path for path in EVERY_CONFIG if path not in TABLES]


def drawn_options(path):
    """Returns the data options of a config, without those that are overridden here or not visible on a sheet."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]
    unseen = {"val_size", "batch_size", "eval_batch_size", "scale"}
    options = {(name, str(value)) for name, value in data.get("init_args", {}).items() if name not in unseen}
    return options | {("class_path", data["class_path"])}


EVERY_OPTION = covering({path: drawn_options(path) for path in WITH_IMAGES})


def test_there_are_configs_with_images():
    assert {"image_folder", "mnist_noisy", "cifar10_resnet18", "digits_mlp"} <= {path.stem for path in WITH_IMAGES}
    assert {"diabetes_regressor", "csv_classifier", "wine_mlp"} <= {path.stem for path in TABLES}


@pytest.mark.parametrize("config", EVERY_OPTION, ids=lambda path: path.stem)
def test_the_data_of_configs_are_drawn_and_nothing_is_trained(config, tiny_data, any_checksum, monkeypatch, capsys):
    monkeypatch.setenv("LITZOO_DATA_DIR", str(tiny_data))
    data = [each for each in fitting(config) if each.startswith("--data.")]
    paths = show_data(["--config", str(config), "--data.val_size=20", *data])
    folder = Path("runs") / config.stem / "data"
    masks = "maskrcnn" in config.stem  # whose data sheet has the views
    assert paths == [folder / f"{name}.png" for name in ("data_sheet", *(() if masks else ("nine_views", "changes")))]
    files = files_in(Path.cwd())
    assert len(files) == len(paths) + 1
    assert all(name.startswith(f"{folder.as_posix()}/") for name in files)
    board = EventAccumulator(str(folder))
    board.Reload()
    assert set(board.Tags()["images"]) == {path.stem for path in paths}
    for path in paths:
        drawn = np.array(Image.open(path).convert("L"))
        assert drawn.std() > 10
        image = board.Images(path.stem)[0]
        assert (image.height, image.width) == drawn.shape
        assert image.encoded_image_string.startswith(b"\x89PNG")
    assert "fingerprint" in capsys.readouterr().out


def test_several_configs_and_options_apply_and_the_module_is_not_instantiated(capsys, monkeypatch):
    Path("few.yaml").write_text("data:\n  init_args:\n    train_size: 50\n    seed: 3\n")
    noisy = ["--data.label_noise=SymmetricNoise", "--data.label_noise.rate=0.5", "--data.seed=4"]
    too_large = "--model.hidden=[100000000000]"  # for any memory
    command = [*MLP, "--config", "few.yaml", *noisy, "--experiment=mine", too_large]
    monkeypatch.setattr(sys, "argv", ["litzoo", "show-data", *command])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[-3:]] == [
        ["data", "sheet", "runs/mine/data/data_sheet.png"],
        ["nine", "views", "runs/mine/data/nine_views.png"],
        ["changes", "runs/mine/data/changes.png"],
    ]
    assert Path("runs/mine/data/data_sheet.png").is_file()
    assert "split 4" in lines[0]
    assert "50.00% of the train labels wrong" in " ".join(lines[:2])
    totals = next(line for line in lines if "all" in line)
    assert [cell.strip() for cell in totals.strip("│").split("│")] == ["all", "50", "144", "359"]


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_shows_the_usage(option, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["litzoo", "show-data", option])
    main()
    assert "litzoo show-data --config" in capsys.readouterr().out
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (TABLE, ["DiabetesDataModule", "no images", "ImageDataModule"]),
        ([*MLP, "--data.batchsize=3"], ["--data", "batchsize", "batch_size"]),
        ([*MLP, "--data=DigitDataModule"], ["DigitDataModule", "DigitsDataModule"]),
        (
            [*MLP, "--data.label_noise=SymmetricNoise", "--data.label_noise.rate=1.5"],
            ["SymmetricNoise.rate", "1.5", "0 to 1"],
        ),
        ([*MLP, "--data.val_size=5000"], ["val_size", "5000", "1438"]),
        ([*MLP, "--data.augment=rotate"], ["--data.augment", "rotate", "shift"]),
        ([*MLP, "--trainer.max_epohcs=3"], ["max_epohcs", "max_epochs"]),
        (["--config", "none.yaml"], ["--config", "none.yaml"]),
        (["--config", str(CONFIGS / "image_folder.yaml"), "--data.root=none"], ["none/cifar10", "data.root"]),
        ([], ["required"]),
    ],
    ids=["table", "option", "class", "rate", "size", "choice", "trainer", "config", "folder", "nothing"],
)
def test_invalid_input_is_refused_in_a_few_lines(arguments, words, capsys, monkeypatch):
    lines = lines_of_error(main, ["show-data", *arguments], capsys, monkeypatch)
    message = "\n".join(lines)
    assert len(lines) <= 10, message
    assert [word for word in words if word not in message] == [], message
    assert not Path("runs").exists()
