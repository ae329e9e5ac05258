import re
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from litzoo.callbacks import RunRecord, SplitSummary, TensorBoardOverview
from litzoo.callbacks.reporting.tensorboard_overview import chart_layout, run_texts
from litzoo.datamodules import DigitsDataModule, SymmetricNoise
from litzoo.lit_modules import SoftmaxRegression
from tests.training import cpu_trainer


def fit(**data) -> EventAccumulator:
    logger = TensorBoardLogger("logs", name="", version="")
    callbacks = [RunRecord(), SplitSummary(), TensorBoardOverview()]
    trainer = cpu_trainer(max_epochs=2, logger=logger, callbacks=callbacks)
    datamodule = DigitsDataModule(**{"train_size": 100, "val_size": 50, **data})
    trainer.fit(SoftmaxRegression((1, 28, 28), 10), datamodule)
    return EventAccumulator("logs").Reload()


def charts(events: EventAccumulator) -> dict[str, list[str]]:
    """Reads the charts as TensorBoard's Custom Scalars tab does: title -> patterns."""
    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    (category,) = layout.category
    return {chart.title: list(chart.multiline.tag) for chart in category.chart}


def test_each_metric_has_one_chart_of_training_and_validation():
    events = fit()
    names = events.Tags()["scalars"]
    found = charts(events)
    assert set(found) == {"acc", "loss"}
    for title, patterns in found.items():
        drawn = {name for name in names for pattern in patterns if re.search(pattern, name)}
        assert drawn == {f"train/{title}", f"val/{title}"}


def test_a_training_without_validation_has_charts_too():
    assert set(charts(fit(val_size=0))) == {"acc", "loss"}


def test_metrics_of_the_best_epoch_of_single_classes_and_learning_rates_have_no_chart():
    names = ["train/loss", "best/val/acc", "test/acc", "val/acc/cat", "train/lr-AdamW", "lr-SGD", "epoch"]
    assert chart_layout(names) == {"training and validation": {"loss": ["Multiline", ["^train/loss$", "^val/loss$"]]}}
    assert chart_layout(["epoch"]) == {}


def test_the_texts_are_the_command_and_the_split():
    events = fit(label_noise=SymmetricNoise(0.2))
    texts = {
        name: events.Tensors(name)[0].tensor_proto.string_val[0].decode()
        for name in events.Tags()["tensors"]
        if name.startswith("run/")
    }
    assert "| git_revision |" in texts["run/command/text_summary"]
    split = texts["run/split/text_summary"]
    assert "| all | 100 | 50 |" in split
    assert "20.00% of the train labels are wrong" in split
    assert "run/config/text_summary" not in texts


def test_the_config_is_a_code_block_and_absent_files_are_left_out():
    assert run_texts(Path()) == {}
    Path("config.yaml").write_text("model:\n  lr: 1\n")
    assert run_texts(Path())["config"].splitlines()[:2] == ["    model:", "      lr: 1"]
