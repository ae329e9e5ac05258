import json
import math
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from litzoo.lit_modules import losses, mixing
from tests.lit_modules.losses.catalogue import FOUND
from tests.scripts.helpers import SHORT, TABLE, litzoo, short_fit

MATRIX = (0.8 * torch.eye(10) + 0.02).tolist()
OPTIONS = {  # a loss without an entry is plugged in with its defaults
    "ActivePassiveLoss": {"alpha": 0.5, "beta": 2.0, "log_zero": -6.0},
    "Bootstrapping": {"beta": 0.95, "hard": False},
    "DisturbLabel": {"alpha": 0.2},
    "EarlyLearningRegularization": {"weight": 1.0, "memory": 0.9},
    "FocalLoss": {"gamma": 1.0},
    "ForwardCorrection": {"matrix": MATRIX},
    "GeneralizedCrossEntropy": {"q": 0.5},
    "LDAMLoss": {"max_margin": 0.3, "scale": 2.0, "reweight_from": 0},
    "LabelSmoothing": {"alpha": 0.2, "spread": "others"},
    "LogitAdjustedCrossEntropy": {"tau": 0.5},
    "LogitNorm": {"temperature": 0.1},
    "SparseOverParameterization": {"lr_u": 0.5, "lr_v": 0.1, "start": 0.01},
    "SymmetricCrossEntropy": {"alpha": 6.0, "beta": 0.1, "log_zero": -2.0},
}
CRASH = "--trainer.callbacks+={class_path: tests.scripts.helpers.DiesInEpoch, init_args: {epoch: 2}}"


def given(options):
    return [
        f"--model.loss.{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in options.items()
    ]


def weights_in(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def check(cli, name, options):
    loss = cli.model.loss
    assert type(loss) is getattr(losses, name)
    expected = type(loss)(**options)
    assert loss.extra_repr() == expected.extra_repr()
    plain = {key: value for key, value in vars(expected).items() if isinstance(value, (int, float, str))}
    assert {key: getattr(loss, key) for key in plain} == plain
    assert math.isfinite(cli.trainer.callback_metrics["train/loss"])
    saved = yaml.safe_load((cli.run_folder / "config.yaml").read_text())["model"]["init_args"]["loss"]
    assert saved["class_path"].endswith(f".{name}")
    assert {key: saved["init_args"][key] for key in options} == options
    extras = {name for name in weights_in(cli.run_folder) if name.startswith("loss.")}
    assert extras == {f"loss.{name}" for name in expected.state_dict()}


@pytest.mark.parametrize("loss", FOUND)
def test_every_loss_plugs_in_by_its_name_with_its_options(loss):
    options = OPTIONS.get(loss.__name__, {})
    check(short_fit("--model.loss", loss.__name__, *given(options)), loss.__name__, options)


def test_a_loss_can_be_given_in_yaml():
    loss = {"class_path": "ForwardCorrection", "init_args": {"matrix": MATRIX}}
    Path("loss.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"loss": loss}}}))
    cli = short_fit("--config=loss.yaml")
    check(cli, "ForwardCorrection", {"matrix": MATRIX})
    torch.testing.assert_close(cli.model.loss.matrix, torch.tensor(MATRIX))


@pytest.mark.parametrize(
    "options",
    [
        ["EarlyLearningRegularization", {"memory": 0.5}],
        ["ForwardCorrection", {"warm_up": 2}],
        ["SparseOverParameterization", {"start": 0.1}],
    ],
)
def test_a_killed_run_with_a_loss_that_remembers_ends_where_an_unbroken_one_does(options, tmp_path):
    name, own = options
    asked = [f"--model.loss={name}", *given(own), "--trainer.max_epochs=3", "--trainer.limit_val_batches=1"]
    unbroken = short_fit(*asked)
    expected = weights_in(unbroken.run_folder)
    shutil.rmtree(tmp_path / "runs")
    with pytest.raises(RuntimeError, match="killed"):
        short_fit(*asked, CRASH)
    resumed = short_fit(*asked, "--ckpt_path=last")
    assert resumed.trainer.current_epoch == 3
    assert torch.load(resumed.run_folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 6
    found = weights_in(resumed.run_folder)
    assert "loss._extra_state" in expected
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("mix", ["MixUp", "CutMix"])
def test_batch_mixing_plugs_in(mix):
    cli = short_fit(f"--model.mix={mix}", "--model.mix.alpha=0.4")
    assert type(cli.model.mix) is getattr(mixing, mix)
    assert cli.model.mix.alpha == 0.4
    saved = torch.load(cli.run_folder / "checkpoints" / "last.ckpt", weights_only=True)["hyper_parameters"]["mix"]
    assert saved == {"class_path": f"litzoo.{mix}", "init_args": {"alpha": 0.4}}


def test_post_hoc_adjustment_keeps_the_class_sizes_of_its_training():
    uneven = ["--data.imbalance=LongTailed", "--data.imbalance.factor=5"]
    trained = short_fit("--model.posthoc_tau=1", *uneven)
    assert trained.model.class_counts.tolist() == trained.datamodule.class_counts
    tested = litzoo("test", "--config", str(trained.run_folder / "config.yaml"))
    assert tested.model.class_counts.tolist() == trained.datamodule.class_counts
    assert tested.model.posthoc_tau == 1


def test_post_hoc_adjustment_can_be_chosen_for_a_test():
    trained = short_fit("--data.imbalance=LongTailed", "--data.imbalance.factor=5")
    config = ["--config", str(trained.run_folder / "config.yaml")]
    found = {}
    for tau in (0, 1, 0):
        cli = litzoo("test", *config, f"--model.posthoc_tau={tau}")
        assert cli.model.posthoc_tau == tau
        found.setdefault(tau, []).append(float(cli.trainer.callback_metrics["test/loss"]))
    assert found[0][0] == found[0][1] != found[1][0]


def test_a_loss_for_each_sample_is_no_objective():
    with pytest.raises(
        ValueError, match=r"GeneralizedCrossEntropy returns a tensor of shape \[\d+\]; .*`reduction` to mean or sum"
    ):
        short_fit("--model.loss=GeneralizedCrossEntropy", "--model.loss.reduction=none")


def test_co_teaching_runs_and_tests_with_another_loss():
    options = ["--data=DigitsDataModule", "--data.val_size=20", "--model=CoTeachingClassifier", "--model.widths=[4]"]
    cli = litzoo("fit", *options, *SHORT, "--model.forget_rate=0.3", "--model.loss=GeneralizedCrossEntropy")
    assert cli.model.forget_rate == 0.3
    assert math.isfinite(cli.trainer.callback_metrics["train/loss"])
    tested = litzoo("test", "--config", str(cli.run_folder / "config.yaml"))
    assert all(torch.equal(a, b) for a, b in zip(tested.model.parameters(), cli.model.parameters(), strict=True))


@pytest.mark.parametrize("inner", [None, "torch.nn.L1Loss", "torch.nn.HuberLoss"])
def test_disturbed_targets_plug_into_a_regression(inner):
    options = ["--model.loss=DisturbValue", "--model.loss.std=0.3", "--model.loss.rate=0.2"]
    cli = litzoo("fit", *TABLE, *SHORT, *options, *([f"--model.loss.loss={inner}"] if inner else []))
    loss = cli.model.loss
    assert type(loss) is losses.DisturbValue
    assert (loss.std, loss.rate, type(loss.loss).__name__) == (0.3, 0.2, (inner or "torch.nn.MSELoss").split(".")[-1])
    assert math.isfinite(cli.trainer.callback_metrics["train/loss"])


@pytest.mark.parametrize(("options", "words"), [
    (["GeneralizedCrossEntropy", "q=2"], "GeneralizedCrossEntropy.q: 2.0 is outside"),
    (["LabelSmoothing", "spread=some"], "spread"),
    (["FocalLoss", "reduction=median"], "reduction"),
    (["ForwardCorrection", "matrix=[[1,0],[0.5,0.4]]"], "row 1.*adds up to 0.9"),
    (["DisturbLabel", "alpha=20"], "DisturbLabel.alpha: 20.0 is outside"),
])  # fmt: skip
def test_impossible_options_are_refused_before_any_work(options, words, tmp_path):
    name, option = options
    with pytest.raises(Exception, match=words):
        short_fit(f"--model.loss={name}", f"--model.loss.{option}")
    assert not list(tmp_path.iterdir())
