import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from litzoo.scripts.cli.errors import explain
from tests.scripts.helpers import CONFIGS, MLP, TABLE, files_in, litzoo

SENTINEL = Path("the-code-ran")


class RunsCode:
    """Unpickled, it leaves a file behind."""

    def __reduce__(self):
        return Path.touch, (SENTINEL,)


def write(kind, path):
    """Writes a file that is no checkpoint of ours."""
    whole = {"state_dict": {"net.head.weight": torch.zeros(2, 2)}}
    if kind == "folder":
        path.mkdir()
    elif kind in ("random bytes", "empty", "text"):
        path.write_bytes({"random bytes": os.urandom(2000), "empty": b"", "text": b"hello\n"}[kind])
    elif kind == "pickle that runs code":
        path.write_bytes(pickle.dumps(RunsCode()))
    elif kind == "checkpoint that runs code":
        torch.save({**whole, "extra": RunsCode()}, path)
    elif kind != "absent":
        torch.save(
            {"no state_dict": {"weights": torch.zeros(2)}, "tensor": torch.zeros(2), "weights alone": whole}[kind], path
        )


KINDS = ["absent", "folder", "random bytes", "empty", "text", "pickle that runs code", "checkpoint that runs code"]
KINDS += ["no state_dict", "tensor", "weights alone"]


def message_of(subcommand, *options):
    with pytest.raises(Exception) as raised:  # noqa: PT011 (which class does not matter to the user; the text does)
        litzoo(subcommand, *options)
    lines = explain(raised.value)
    assert len(lines) <= 10
    return "\n".join(lines)


@pytest.mark.parametrize("subcommand", ["fit", "test"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_checkpoint_is_refused_by_name_and_never_run(kind, subcommand):
    write(kind, Path("bad.ckpt"))
    message = message_of(subcommand, *MLP, "--ckpt_path=bad.ckpt")
    assert "--ckpt_path" in message
    assert "bad.ckpt" in message
    assert not SENTINEL.exists()
    assert not list(Path("runs").rglob("version_*"))


def test_file_that_runs_code_would_run_it():
    pickle.loads(pickle.dumps(RunsCode()))
    assert SENTINEL.exists()


def test_truncated_checkpoint_is_refused(trained):
    path = trained / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:-5000])
    message = message_of("test", *MLP)
    assert "best.ckpt" in message
    assert "damaged" in message


@pytest.mark.parametrize("subcommand", ["validate", "test", "predict"])
def test_experiment_that_was_never_trained_is_named(subcommand):
    message = message_of(subcommand, *MLP)
    assert "runs/digits_mlp" in message
    assert "litzoo fit" in message


@pytest.mark.parametrize("subcommand", ["fit", "test"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config", str(CONFIGS / "digits_cnn.yaml")], ["MLPClassifier", "CNNClassifier", "config.yaml"]),
        (TABLE, ["MLPClassifier", "Regressor", "config.yaml"]),
        ([*MLP, "--data=tests.scripts.helpers.FewDigits"], ["--ckpt_path", "MLPClassifier", "[10, 128]", "[5, 128]"]),
    ],
    ids=["other class", "other task", "other number of classes"],
)
def test_checkpoint_of_another_architecture_is_refused(trained, tmp_path, options, words, subcommand):
    checkpoint = shutil.copy(trained / "checkpoints" / "best.ckpt", tmp_path / "mine.ckpt")
    before = files_in(tmp_path)
    message = message_of(subcommand, *options, f"--ckpt_path={checkpoint}", "--trainer.max_epochs=3")
    assert [word for word in words if word not in message] == [], message
    assert files_in(tmp_path) == before
    assert not list(Path("runs").rglob("version_1"))


def test_failing_in_the_folder_of_a_checkpoint_leaves_that_folder_alone(trained):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    message_of("test", *MLP, "--data=tests.scripts.helpers.FewDigits")
    assert before == {path: path.read_bytes() for path in before}


def test_nan_names_the_step_and_leaves_the_last_good_checkpoint():
    # The rate explodes after the first epoch: its first step ruins the weights, the second one sees it.
    steps = ["--trainer.max_epochs=3", "--trainer.limit_train_batches=4"]
    options = ["--model.optimizer=torch.optim.SGD", "--model.optimizer.lr=0.01"]
    options += ["--model.scheduler=torch.optim.lr_scheduler.StepLR"]
    options += ["--model.scheduler.step_size=1", "--model.scheduler.gamma=1e30"]
    message = message_of("fit", *MLP, *steps, *options)
    assert "step 5 (epoch 1)" in message
    assert "learning rate" in message
    for name in ("best", "last"):
        checkpoint = torch.load(f"runs/digits_mlp/version_0/checkpoints/{name}.ckpt", weights_only=True)
        assert checkpoint["global_step"] == 4
        assert all(weights.isfinite().all() for weights in checkpoint["state_dict"].values())
    litzoo("validate", *MLP)


def test_nan_in_the_first_epoch_leaves_no_run_folder():
    message = message_of("fit", *MLP, "--model.optimizer=torch.optim.SGD", "--model.optimizer.lr=1e30")
    assert "step 1 (epoch 0)" in message
    assert not list(Path("runs").rglob("version_*"))
