from pathlib import Path

import matplotlib.image
import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from litzoo.callbacks import ConfusionMatrixFigure, PredictionGrid, TrainingCurves
from litzoo.callbacks.reporting import figures
from litzoo.datamodules import DiabetesDataModule, DigitsDataModule
from litzoo.lit_modules import Regressor, SoftmaxRegression
from tests.training import cpu_trainer

FIGURES = {"training_curves", "predictions", "mistakes", "confusion_matrix"}


def run(logger):
    """Trains and tests with every callback that draws a figure."""
    figures = [
        TrainingCurves(),
        PredictionGrid(count=6),
        PredictionGrid(count=5, show="mistakes"),
        ConfusionMatrixFigure(),
    ]
    trainer = cpu_trainer(max_epochs=2, logger=logger, callbacks=figures)
    model, datamodule = SoftmaxRegression((1, 28, 28), 10), DigitsDataModule(train_size=100, val_size=50)
    trainer.fit(model, datamodule)
    trainer.test(model, datamodule, verbose=False)


def assert_images(folder):
    assert {path.name for path in folder.iterdir()} == {f"{name}.png" for name in FIGURES}
    for path in folder.iterdir():
        pixels = matplotlib.image.imread(path)[..., :3]
        assert min(pixels.shape[:2]) > 100
        assert 0.01 < (pixels < 0.9).any(axis=2).mean() < 0.9  # drawn on white


@pytest.mark.parametrize("logger", [False, CSVLogger("logs", name="", version="")])
def test_figures_do_not_need_tensorboard(logger):
    run(logger)
    assert_images(Path("logs" if logger else "run", "figures"))


def test_figures_are_in_tensorboard_and_in_the_run_folder():
    run(TensorBoardLogger("logs", name="", version=""))
    assert_images(Path("logs/figures"))
    events = EventAccumulator("logs").Reload()
    assert set(events.Tags()["images"]) == {f"figures/{name}" for name in FIGURES}
    for name in FIGURES:
        (image,) = events.Images(f"figures/{name}")
        assert min(image.width, image.height) > 100


def test_curves_are_drawn_for_regression_without_validation_too():
    trainer = cpu_trainer(callbacks=[TrainingCurves()])
    datamodule = DiabetesDataModule(val_size=0)
    trainer.fit(Regressor(datamodule.input_shape), datamodule)
    assert Path("run/figures/training_curves.png").stat().st_size > 1000


def test_many_curves_are_drawn_in_rows(coarse_figures):
    sizes = []
    for count in (5, 7):
        curves, trainer = TrainingCurves(), cpu_trainer()
        curves.history = [{"epoch": epoch, **{f"train/{n}": 1.0 for n in range(count)}} for epoch in (0, 1)]
        curves.on_train_end(trainer, SoftmaxRegression((2,), 2))
        sizes.append(matplotlib.image.imread("run/figures/training_curves.png").shape[:2])
    (height, width), other = sizes
    assert other == (2 * height, width)


@pytest.mark.parametrize("callback", [ConfusionMatrixFigure, PredictionGrid])
@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_module_that_does_not_classify_is_refused(callback, command):
    message = f"{callback.__name__} draws classes, but Regressor has no class_names: remove the callback"
    with pytest.raises(TypeError, match=message):
        getattr(cpu_trainer(callbacks=[callback()]), command)(Regressor((10,)), DiabetesDataModule())


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_datamodule_without_images_is_refused(command):
    with pytest.raises(TypeError, match="but DiabetesDataModule has no test_images: remove the callback"):
        getattr(cpu_trainer(callbacks=[PredictionGrid()]), command)(SoftmaxRegression((10,), 2), DiabetesDataModule())


def test_a_failed_write_leaves_the_previous_figure(monkeypatch):
    trainer, folder = cpu_trainer(), Path("run")
    figures.publish_figure(trainer, "curves", figures.new_figure(1, 1), folder)
    before = (folder / "figures" / "curves.png").read_bytes()

    def fail_halfway(path, pixels, **options):
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figures, "imsave", fail_halfway)
    with pytest.raises(OSError, match=r"run/figures/curves.png: cannot be written, disk full"):
        figures.publish_figure(trainer, "curves", figures.new_figure(2, 2), folder)
    assert [path.read_bytes() for path in (folder / "figures").iterdir()] == [before]
