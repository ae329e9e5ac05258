from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from PIL import Image
from sklearn.decomposition import PCA
from tensorboard.plugins import projector

from litzoo.callbacks import MaxLogit, Projector, UnknownClassDetector
from litzoo.callbacks.reporting.projector import principal_components, write_projector
from litzoo.datamodules import CSVClassificationDataModule, DiabetesDataModule, DigitsDataModule, WineDataModule
from litzoo.lit_modules import MLPClassifier, Regressor
from tests.training import cpu_trainer


def board() -> TensorBoardLogger:
    return TensorBoardLogger("logs", name="", version="")


def table() -> list[list[str]]:
    return [line.split("\t") for line in Path("logs/projector/samples.tsv").read_text().splitlines()]


def run(*callbacks, logger=None, datamodule=None):
    torch.manual_seed(0)
    datamodule = datamodule or DigitsDataModule(train_size=200, val_size=80, known_classes=[1, 2, 3, 4, 5, 6, 7])
    datamodule.prepare_data()
    model = MLPClassifier((1, 28, 28), 7, class_names=list("1234567"), hidden=[16])
    trainer = cpu_trainer(logger=board() if logger is None else logger, callbacks=list(callbacks))
    trainer.fit(model, datamodule)
    trainer.test(model, datamodule, verbose=False)
    return model.eval(), datamodule


def test_features_classes_predictions_scores_and_images_of_all_test_samples_are_written():
    model, datamodule = run(UnknownClassDetector(MaxLogit()), Projector())
    inputs = datamodule.normalise(datamodule.test_set.inputs)
    with torch.no_grad():
        features, logits = model.net.features(inputs), model(inputs)
    written = np.loadtxt("logs/projector/features.tsv", delimiter="\t")
    assert np.allclose(written, features, rtol=1e-3, atol=1e-4)
    header, *rows = table()
    assert header == ["index", "class", "prediction", "result", "unknown_score"]
    assert len(rows) == len(features) == 359
    assert [row[1] for row in rows] == datamodule.true_class_names(torch.arange(359))
    assert [row[2] for row in rows] == ["1234567"[label] for label in logits.argmax(dim=1)]
    assert {row[3] for row in rows} == {"right", "wrong", "unknown class"}
    scores = np.array([float(row[4]) for row in rows])
    assert np.allclose(scores, -logits.max(dim=1).values, rtol=1e-3, atol=1e-4)
    config = text_format.Parse(Path("logs/projector_config.pbtxt").read_text(), projector.ProjectorConfig())
    (embedding,) = config.embeddings
    side, _ = embedding.sprite.single_image_dim
    sprite = np.asarray(Image.open(Path("logs", embedding.sprite.image_path)))
    assert sprite.shape == (19 * side, 19 * side, 3)  # 19² is the first square above 359
    assert np.array_equal(sprite[side : 2 * side, :side, 0], datamodule.test_images(torch.tensor([19]))[0, 0])
    assert not model.keeps_features


def test_a_given_number_of_samples_is_evenly_spaced():
    run(Projector(max_samples=10))
    assert [int(row[0]) for row in table()[1:]] == [number * 359 // 10 for number in range(10)]


def test_by_default_large_tests_are_left_out(monkeypatch):
    monkeypatch.setattr("litzoo.callbacks.reporting.projector._DEFAULT_MAX_SAMPLES", 358)
    run(Projector())
    assert not Path("logs/projector").exists()


@pytest.mark.parametrize("logger", [False, CSVLogger("logs", name="", version="")])
def test_nothing_is_written_without_tensorboard(logger):
    run(Projector(), logger=logger)
    assert not list(Path().rglob("projector*"))


def test_tables_have_no_images():
    datamodule = WineDataModule()
    model = MLPClassifier((13,), 3, hidden=[8])
    trainer = cpu_trainer(logger=board(), callbacks=[Projector()])
    trainer.test(model, datamodule, verbose=False)
    assert table()[0] == ["index", "class", "prediction", "result"]
    assert "sprite" not in Path("logs/projector_config.pbtxt").read_text()


def test_many_dimensions_are_reduced_as_scikit_learn_does():
    features = torch.randn(50, 20)
    found = principal_components(features, 3).numpy()
    exact = PCA(3).fit_transform(features.double().numpy())
    assert np.allclose(np.abs(found), np.abs(exact), atol=1e-4)
    assert principal_components(features, 20) is features


def test_names_with_tabs_and_lines_stay_in_their_column():
    write_projector(Path("logs"), torch.zeros(2, 3), {"class": ["a\tb", "c\nd"], "index": [0, 1]}, None)
    assert table() == [["class", "index"], ["a b", "0"], ["c d", "1"]]


def test_coloured_images_of_different_sizes_are_shrunk():
    images = [torch.full((3, 80, 40), 200, dtype=torch.uint8), torch.full((1, 10, 10), 100, dtype=torch.uint8)]
    write_projector(Path("logs"), torch.zeros(2, 3), {"class": ["a", "b"]}, images)
    sprite = np.asarray(Image.open("logs/projector/images.png"))
    assert sprite.shape == (64, 64, 3)
    assert (sprite[:32, :32] == 200).all()
    assert (sprite[:32, 32:] == 100).all()


def test_bad_arguments_and_modules_are_refused():
    with pytest.raises(ValueError, match=r"Projector.max_samples: 1; give at least 2"):
        Projector(max_samples=1)
    with pytest.raises(TypeError, match="Projector shows classes, but Regressor has no class_names: remove the"):
        cpu_trainer(callbacks=[Projector()]).fit(Regressor((10,)), DiabetesDataModule())


def test_a_module_that_returns_no_features_in_a_test_is_left_out(monkeypatch):
    step = MLPClassifier.step
    monkeypatch.setattr(
        MLPClassifier,
        "step",
        lambda *given: {name: value for name, value in step(*given).items() if name != "features"},
    )
    model, _ = run(Projector())
    assert not Path("logs/projector").exists()
    assert not model.keeps_features


def test_rows_of_a_table_are_named_by_row_and_identifier():
    lines = ["index,size,y", *(f"r{row},{row % 7},{'ab'[row % 2]}" for row in range(200))]
    Path("table.csv").write_text("\n".join(lines))
    datamodule = CSVClassificationDataModule(file="table.csv", target="y", root=".")
    model = MLPClassifier(datamodule.input_shape, 2, class_names=datamodule.class_names)
    cpu_trainer(callbacks=[Projector()], logger=board()).test(model, datamodule)
    header, *rows = table()
    assert header == ["index", "row", "index_in_file", "class", "prediction", "result"]
    assert all(lines[int(row[1]) - 1].startswith(f"{row[2]},") for row in rows)
