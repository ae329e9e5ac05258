"""Class paths of litzoo 0.1 are refused with the new name; those of a user's own packages are not."""

from pathlib import Path

import pytest
import torch

from litzoo.scripts.cli.arguments import refuse_old_path
from tests.scripts.helpers import MLP, SHORT, litzoo, short_fit


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("callbacks.NoisyLabelFinder", "NoisyLabelFinder"),
        ("callbacks.unknown_scores.ViM", "ViM"),
        ("datamodules.mnist.MNISTDataModule", "MNISTDataModule"),
        ("lit_modules.losses.FocalLoss", "FocalLoss"),
    ],
)
def test_an_old_path_is_refused_with_the_new_name(old, new):
    with pytest.raises(ValueError, match=rf"{old} is a class path of litzoo 0\.1; write {new}$"):
        refuse_old_path(old)


@pytest.mark.parametrize(
    "text", ["callbacks.Mine", "my.callbacks.ViM", "MNISTDataModule", "callbacks", "litzoo.ViM", ""]
)
def test_other_words_pass(text):
    refuse_old_path(text)


def test_it_is_refused_in_a_config_on_the_command_line_and_in_a_checkpoint():
    Path("old.yaml").write_text("model:\n  class_path: lit_modules.MLPClassifier\n")
    with pytest.raises(ValueError, match=r"--config old\.yaml: lit_modules\.MLPClassifier .*write MLPClassifier"):
        litzoo("fit", *MLP, "--config=old.yaml", *SHORT)
    with pytest.raises(
        ValueError, match=r"--trainer\.callbacks\+: callbacks\.NoisyLabelFinder .*write NoisyLabelFinder"
    ):
        litzoo("fit", *MLP, *SHORT, "--trainer.callbacks+=callbacks.NoisyLabelFinder")
    folder = short_fit().run_folder
    path = folder / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["loss"] = {"class_path": "lit_modules.FocalLoss"}
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"--ckpt_path .*last\.ckpt.*lit_modules\.FocalLoss .*write FocalLoss"):
        litzoo("test", *MLP, f"--ckpt_path={path}")


def test_a_package_of_the_users_own_is_searched_instead(tmp_path, monkeypatch):
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "__init__.py").write_text("import elsewhere\nfrom .own import ViM as RunSummary\n")
    (tmp_path / "callbacks" / "own.py").write_text("raise RuntimeError\nclass NoisyLabelFinder: ...\nViM = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for text in ("callbacks.own.NoisyLabelFinder", "callbacks.own.ViM", "callbacks.RunSummary"):
        refuse_old_path(text)  # and nothing is imported: the text may be that of a checkpoint


@pytest.mark.parametrize("text", ["callbacks.NoisyLabelFinder", "callbacks.own.MaxLogit", "callbacks.none.ViM"])
def test_a_package_of_the_users_own_without_the_class_is_named(text, tmp_path, monkeypatch):
    (tmp_path / "callbacks").mkdir()
    for name in ("__init__", "own"):
        (tmp_path / "callbacks" / f"{name}.py").write_text("class Mine: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    name = text.rsplit(".", 1)[-1]
    with pytest.raises(ValueError, match=rf"your own package callbacks \(.*\) has no {name}; write {name}$"):
        refuse_old_path(text)
