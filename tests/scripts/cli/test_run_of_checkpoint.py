"""A checkpoint below a run folder belongs to that run, however deep the file lies."""

import json
from pathlib import Path

import pytest

from litzoo.scripts.cli.run_folder import run_folder_of_checkpoint
from tests.scripts.helpers import MLP, litzoo

MODEL_CHECKPOINT = {
    "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
    "init_args": {"filename": "{epoch}-{val/acc:.3f}", "monitor": "val/acc", "mode": "max"},
}


def test_a_metric_with_a_slash_in_a_file_name_stays_in_its_run():
    fitted = litzoo(
        "fit",
        *MLP,
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2",
        f"--trainer.callbacks={json.dumps([MODEL_CHECKPOINT])}",
    )
    run = fitted.run_folder
    (nested,) = [path for path in run.rglob("*.ckpt") if path.name not in ("best.ckpt", "last.ckpt")]
    assert nested.parent != run / "checkpoints"
    before = (run / "metrics.json").read_bytes()
    tested = litzoo("test", *MLP, f"--ckpt_path={nested}")
    assert tested.run_folder == run
    assert [path.name for path in run.parent.iterdir()] == [run.name]
    assert (run / "metrics.json").read_bytes() == before  # it quotes best.ckpt


@pytest.mark.parametrize(
    "below", ["a.ckpt", "checkpoints/a.ckpt", "checkpoints/epoch=0-val/acc=0.9.ckpt", "own/a.ckpt"]
)
def test_the_run_is_found_wherever_the_file_lies(below, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").touch()
    assert run_folder_of_checkpoint(tmp_path / below) == tmp_path
    (tmp_path / "config.yaml").unlink()
    assert run_folder_of_checkpoint(Path(tmp_path / below)) is None


def test_a_refused_test_leaves_the_folder_of_the_run_as_it_was():
    run = litzoo("fit", *MLP, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2").run_folder
    before = sorted(run.rglob("*"))
    with pytest.raises(ValueError, match=r"data\.seed"):
        litzoo("test", *MLP, "--data.seed=5")
    assert sorted(run.rglob("*")) == before
    litzoo("test", *MLP)
    (written,) = set(run.glob("events*")) - set(before)  # one that is not refused writes its own
    assert written.stat().st_size
