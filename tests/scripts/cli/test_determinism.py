import json
import shutil

import pytest
import torch

from tests.callbacks.kills import differences
from tests.counted import count
from tests.scripts.helpers import CONFIGS, MLP, TABLE, files_in, litzoo, short_fit

FOUR_EPOCHS = ["--trainer.max_epochs=4", "--trainer.limit_train_batches=5", "--test_after_fit=false"]
SCHEDULED = ["--model.scheduler=CosineWithWarmup"]
ONLINE, FIXMATCH = (
    ["--config", str(CONFIGS / f"digits_100_{name}.yaml"), "--data.unlabeled_batch_size=32"]
    for name in ("pseudo_online", "fixmatch")
)
CURRICULUM = "--trainer.callbacks+={class_path: CurriculumLabels, init_args: {start_epoch: 1, every_epochs: 2}}"
FILTER = (
    "--trainer.callbacks+={class_path: UnknownPoolFilter, init_args: {score: MaxLogit, acceptance: 0.8, "
    "every_epochs: 2}}"
)
CRASH = "--trainer.callbacks+={class_path: tests.scripts.helpers.DiesInEpoch, init_args: {epoch: 2}}"


def metrics_of(cli):
    return json.loads((cli.run_folder / "metrics.json").read_text())


def weights_in(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_same_seed_gives_the_same_metrics_and_weights():
    runs = [short_fit() for _ in range(2)]
    assert metrics_of(runs[0]) == metrics_of(runs[1])
    weights = [weights_in(run.run_folder) for run in runs]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_default_seed_is_0_and_another_seed_gives_other_metrics_on_the_same_split():
    default, zero, other = (short_fit(*seed) for seed in ([], ["--seed_everything=0"], ["--seed_everything=1"]))
    assert metrics_of(default) == metrics_of(zero)
    assert metrics_of(default)["val/loss"] != metrics_of(other)["val/loss"]
    assert (default.run_folder / "splits.json").read_text() == (other.run_folder / "splits.json").read_text()
    assert json.loads((other.run_folder / "run.json").read_text())["seed"] == 1


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (MLP, ["--model.dropout=0", *SCHEDULED]),
        (MLP, []),
        (MLP, ["--model.dropout=0", "--data.augment=affine"]),
        (TABLE, ["--model.dropout=0", "--data.batch_size=64"]),
        (ONLINE, ["--trainer.callbacks.weight.start_epoch=1", "--trainer.callbacks.weight.end_epoch=4"]),
        (FIXMATCH, ["--model.pseudo_labels=FreeMatch"]),
        (FIXMATCH, ["--model.pseudo_labels=AssignedLabels", CURRICULUM]),
        (FIXMATCH, ["--data.known_classes=[0,1,2,3,4,5]", "--data.unknown_unlabeled=1.0", FILTER]),
    ],
    ids=[
        *["scheduled", "dropout", "augmented", "regression"],
        *["during the ramp", "found thresholds", "labels of an earlier epoch", "filtered pool"],
    ],
)
def test_killed_and_resumed_run_ends_where_an_unbroken_one_does(config, options, tmp_path):
    unbroken = litzoo("fit", *config, *FOUR_EPOCHS, *options)
    folder = unbroken.run_folder
    expected, expected_weights, expected_files = metrics_of(unbroken), weights_in(folder), files_in(folder)
    shutil.rmtree(tmp_path / "runs")

    with pytest.raises(RuntimeError, match="killed"):
        litzoo("fit", *config, *FOUR_EPOCHS, *options, CRASH)
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    resumed = litzoo("fit", *config, *FOUR_EPOCHS, *options, "--ckpt_path=last")

    assert resumed.run_folder == folder
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]
    assert resumed.trainer.current_epoch == 4
    assert metrics_of(resumed) == expected
    assert set(unbroken.trainer.callback_metrics) == set(resumed.trainer.callback_metrics)
    assert differences(weights_in(folder), expected_weights) == []
    count("kills survived")

    def plain(files):
        return {name for name in files if "tfevents" not in name}

    assert plain(files_in(folder)) == plain(expected_files)


def test_resumed_run_reports_on_all_epochs():
    options = ["--trainer.limit_train_batches=2", "--test_after_fit=false"]
    litzoo("fit", *MLP, "--trainer.max_epochs=2", *options)
    resumed = litzoo("fit", *MLP, "--trainer.max_epochs=3", *options, "--ckpt_path=last")
    histories = [callback.history for callback in resumed.trainer.callbacks if hasattr(callback, "history")]
    assert histories
    assert all([entry["epoch"] for entry in history] == [0, 1, 2] for history in histories)
