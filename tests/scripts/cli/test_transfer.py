"""A backbone named on the command line by its experiment."""

import pytest
import torch

from litzoo.scripts.cli.main import main
from tests.scripts.helpers import SHORT, lines_of_error, litzoo, short_fit

PLACE = "--trainer.default_root_dir=elsewhere"
UNFREEZING = ["--trainer.callbacks+=GradualUnfreezing", "--trainer.callbacks.unfreeze_at={1: 1, 2: all}"]
TRANSFER = ["--data=DigitsDataModule", "--model=TransferClassifier", "--model.backbone=few", "--experiment=transferred"]


def test_its_checkpoint_needs_the_backbone_no_more(tmp_path, recwarn):
    backbone = short_fit("--experiment=few", PLACE)
    fit = [PLACE, *TRANSFER, *UNFREEZING, *SHORT]
    folder = litzoo("fit", *fit).run_folder
    (tmp_path / "elsewhere" / "few").rename(tmp_path / "elsewhere" / "moved")
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    for name, weight in backbone.model.net.trunk.named_parameters():
        assert torch.equal(saved["state_dict"][f"net.trunk.trunk.{name}"], weight)  # frozen so far

    resumed = litzoo("fit", *fit, "--trainer.max_epochs=3", "--ckpt_path=last")
    assert resumed.run_folder == folder
    learned = resumed.model.net.trunk.trunk.state_dict()
    assert not any(torch.equal(learned[name], weight) for name, weight in backbone.model.net.trunk.named_parameters())
    for subcommand in ("test", "predict"):
        litzoo(subcommand, "--config", str(folder / "config.yaml"))
    told = [str(each.message) for each in recwarn if "other options" in str(each.message)]
    assert all("described" not in each and "model.backbone" not in each for each in told)
    assert not [each for each in recwarn if "instead of those given" in str(each.message)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model.network=vgg61"], ["model.network", "'vgg61'", "vgg16"]),
        (["--model.network=alexnet"], ["28×28", "63×63", "model.size to 63"]),
        (["--model.network=resnet18", "--model.weights=IMAGENET"], ["model.weights", "'IMAGENET'", "IMAGENET1K_V1"]),
        (["--model.network=resnet18", "--model.weights=gone.pth"], ["model.weights", "gone.pth is missing"]),
        (["--model.backbone=gone"], ["model.backbone", "'gone'", "runs", "litzoo fit"]),
        (
            ["--model.network=resnet18", *UNFREEZING[:1], "--trainer.callbacks.trained_stages=9"],
            ["9 stages", "the network has 5", "trunk.layer4"],
        ),
    ],
    ids=["network", "small", "weights", "file", "backbone", "stages"],
)
def test_mistakes_are_refused_in_a_few_lines_and_leave_no_run(options, words, capsys, monkeypatch, tmp_path):
    command = ["fit", "--data=DigitsDataModule", "--model=TransferClassifier", *options, "--experiment=wrong"]
    lines = lines_of_error(main, command, capsys, monkeypatch)
    message = "\n".join(lines)
    assert len(lines) <= 6, message
    assert [word for word in words if word not in message] == [], message
    assert not (tmp_path / "runs" / "wrong").exists()
