import inspect
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from litzoo.lit_modules import MLPClassifier, OneHotSquaredError
from tests.scripts.helpers import MLP, SHORT, TABLE, litzoo, short_fit

BARE = ["--data=DigitsDataModule", "--model=SoftmaxRegression"]


def optimizer_of(cli):
    return cli.trainer.optimizers[0]


def test_classes_go_by_their_short_names():
    cli = litzoo("fit", "--data=DigitsDataModule", "--model=MLPClassifier", "--model.hidden=[4]", *SHORT)
    assert isinstance(cli.model, MLPClassifier)
    assert tuple(cli.model.net.head.weight.shape) == (10, 4)


@pytest.mark.parametrize(
    ("options", "by_hand"),
    [
        (["torch.nn.CrossEntropyLoss", "label_smoothing=0.3"], nn.CrossEntropyLoss(label_smoothing=0.3)),
        (["torch.nn.MultiMarginLoss", "margin=0.5"], nn.MultiMarginLoss(margin=0.5)),
        (["OneHotSquaredError"], lambda x, y: (x.softmax(1) - torch.eye(10)[y]).square().mean()),
    ],
    ids=["label smoothing", "margin", "squared error"],
)
def test_loss_plugs_in_by_its_class_path(options, by_hand):
    path, *arguments = options
    cli = litzoo("fit", *BARE, *SHORT, f"--model.loss={path}", *(f"--model.loss.{argument}" for argument in arguments))
    logits, target = torch.randn(6, 10), torch.arange(6)
    torch.testing.assert_close(cli.model.loss(logits, target), by_hand(logits, target))
    saved = yaml.safe_load((cli.run_folder / "config.yaml").read_text())
    assert saved["model"]["init_args"]["loss"]["class_path"] in (path, f"litzoo.{path}")


@pytest.mark.parametrize("loss", ["torch.nn.CrossEntropyLoss", "OneHotSquaredError"])
def test_validation_reports_cross_entropy_whatever_the_loss(loss):
    cli = litzoo("fit", *BARE, *SHORT, f"--model.loss={loss}", "--trainer.limit_val_batches=1")
    cli.datamodule.trainer.training = False
    batch = cli.datamodule.on_after_batch_transfer(next(iter(cli.datamodule.val_dataloader())), 0)
    with torch.no_grad():
        expected = nn.functional.cross_entropy(cli.model.eval()(batch["input"]), batch["target"])
    assert float(cli.trainer.callback_metrics["val/loss"]) == pytest.approx(float(expected), abs=1e-5)
    assert isinstance(cli.model.loss, OneHotSquaredError) == loss.endswith("OneHotSquaredError")


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "RMSprop"])
def test_optimizer_of_the_command_line_keeps_its_own_defaults(name):
    cli = litzoo("fit", *BARE, *SHORT, f"--model.optimizer=torch.optim.{name}", "--model.optimizer.lr=0.004")
    optimizer = optimizer_of(cli)
    expected = getattr(torch.optim, name)([nn.Parameter(torch.zeros(1))], lr=0.004)
    assert type(optimizer) is type(expected)
    assert optimizer.defaults == expected.defaults


@pytest.mark.parametrize("as_file", [True, False], ids=["stacked", "option"])
@pytest.mark.parametrize(("first", "then"), [("SGD", "AdamW"), ("Adam", "AdamW"), ("AdamW", "Adam"), ("AdamW", "SGD")])
def test_changing_the_optimizer_leaks_no_default_of_the_first(first, then, as_file):
    base = {"data": "DigitsDataModule", "model": {"class_path": "SoftmaxRegression"}}
    base["model"]["init_args"] = {"optimizer": {"class_path": f"torch.optim.{first}", "init_args": {"lr": 0.1}}}
    change = {"model": {"init_args": {"optimizer": {"class_path": f"torch.optim.{then}", "init_args": {"lr": 0.2}}}}}
    Path("base.yaml").write_text(yaml.safe_dump(base))
    Path("change.yaml").write_text(yaml.safe_dump(change))
    options = [f"--model.optimizer=torch.optim.{then}", "--model.optimizer.lr=0.2"]
    cli = litzoo("fit", "--config=base.yaml", *(["--config=change.yaml"] if as_file else options), *SHORT)
    expected = getattr(torch.optim, then)([nn.Parameter(torch.zeros(1))], lr=0.2)
    assert type(optimizer_of(cli)) is type(expected)
    assert optimizer_of(cli).defaults == expected.defaults


def test_adamw_in_yaml_keeps_torchs_weight_decay():
    own = inspect.signature(torch.optim.AdamW).parameters["weight_decay"].default
    assert optimizer_of(short_fit()).defaults["weight_decay"] == own == 0.01


def test_scheduler_of_the_yaml_knows_the_length_of_the_training():
    options = ["--model.scheduler=CosineWithWarmup", "--model.scheduler.warmup=0", "--trainer.max_epochs=3"]
    cli = short_fit(*options)
    assert cli.trainer.global_step == 6
    assert cli.trainer.lr_scheduler_configs[0].scheduler.get_last_lr() == pytest.approx([0.0], abs=1e-12)


def test_regression_takes_another_loss_and_reports_squared_error():
    cli = litzoo("fit", *TABLE, *SHORT, "--data.val_size=0.2", "--model.loss=torch.nn.L1Loss")
    metrics = cli.trainer.callback_metrics
    assert isinstance(cli.model.loss, nn.L1Loss)
    expected = (float(metrics["val/rmse"]) / cli.datamodule.target_std) ** 2
    assert float(metrics["val/loss"]) == pytest.approx(expected, rel=1e-5)


def test_config_of_another_module_can_be_overridden_whole():
    cli = litzoo("fit", *MLP, *SHORT, "--model=SoftmaxRegression")
    assert [tuple(weight.shape) for weight in cli.model.parameters()] == [(10, 784), (10,)]
