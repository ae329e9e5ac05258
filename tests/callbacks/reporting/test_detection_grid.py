import numpy as np
import pytest
import torch
from PIL import Image

from litzoo.callbacks import DetectionGrid
from litzoo.callbacks.reporting import detection_grid
from litzoo.callbacks.reporting.detection import draw_strip
from litzoo.datamodules import DigitsDataModule, ShapesDataModule
from litzoo.lit_modules import MaskRCNNSegmenter, MLPClassifier
from tests.training import cpu_trainer

NAMES = ("circle", "square", "triangle")
LEFT, RIGHT = ([4.0, 4, 12, 12], [20.0, 4, 28, 12])


class ScriptedDetector(MaskRCNNSegmenter):
    """Finds a certain square at the left and a doubtful one at the right of every image, if its score is enough."""

    def forward(self, x):
        return [self._found(image) for image in x]

    def _found(self, image):
        scores = torch.tensor([0.9, 0.2])
        masks = torch.zeros(2, *image.shape[1:], dtype=torch.bool)
        masks[0, 4:12, 4:12] = masks[1, 4:12, 20:28] = True
        kept = scores >= self.hparams["min_score"]
        found = {"boxes": torch.tensor([LEFT, RIGHT]), "labels": torch.tensor([2, 2]), "scores": scores, "masks": masks}
        return {name: values[kept] for name, values in found.items()}


@pytest.fixture
def drawn(monkeypatch):
    """What `draw_strip` was called with."""
    calls = []

    def noted(*arguments):
        calls.append(arguments)
        return draw_strip(*arguments)

    monkeypatch.setattr(detection_grid, "draw_strip", noted)
    return calls


def predict(count=12, min_score=0.05, **options):
    data = ShapesDataModule(images=4, side=32, val_size=1, eval_batch_size=2, **options)
    trainer = cpu_trainer(callbacks=[DetectionGrid(count)], default_root_dir="run", limit_predict_batches=3)
    model = ScriptedDetector(3, NAMES, proposals=10, min_score=min_score)
    trainer.predict(model, data, return_predictions=False)
    return data


def test_the_first_images_are_drawn_with_masks_and_the_heading_says_what_is_left_out(drawn, capsys, coarse_figures):
    data = predict(count=5)
    ((panels, names, *_, heading),) = drawn
    assert names == list(NAMES)
    assert heading == "the first 5 of 6 images; objects with a score of at least 0.05 (min_score)"
    assert [panel["name"] for panel in panels] == [f"image {index}" for index in range(5)]
    for panel, sample in zip(panels, data.test_set.samples, strict=False):
        change = (panel["image"].int() - sample.image.permute(1, 2, 0).int()).abs().sum(dim=2).double()
        assert change[4:12, 4:12].mean() > 2 * change[4:12, 20:28].mean() > 0
        assert change.sum() == change[4:12, 4:12].sum() + change[4:12, 20:28].sum()
    assert "The objects in 5 of 6 images are drawn in run/figures/detections.png" in capsys.readouterr().out
    assert np.asarray(Image.open("run/figures/detections.png")).std() > 10


def test_objects_below_the_score_are_not_drawn(drawn, coarse_figures):
    predict(min_score=0.5)
    ((panels, *_, heading),) = drawn
    assert heading == "all images; objects with a score of at least 0.5 (min_score)"
    assert [len(panel["scores"]) for panel in panels] == [1] * 6


def test_new_images_of_different_sizes_have_their_names_and_a_file_of_their_own(drawn, tmp_path, coarse_figures):
    (tmp_path / "v1.2").mkdir()
    for name, size in (("a.png", (40, 30)), ("b.png", (30, 200)), ("c.png", (90, 30)), ("d.png", (32, 32))):
        Image.new("RGB", size, "white").save(tmp_path / "v1.2" / name)
    predict(predict_folder="v1.2")
    ((panels, *_),) = drawn
    assert [panel["name"] for panel in panels] == ["a.png", "b.png", "c.png", "d.png"]
    assert [path.name for path in (tmp_path / "run" / "figures").iterdir()] == ["detections_v1.2.png"]
    figure = draw_strip(*drawn[0])
    places = [axes.get_position() for axes in figure.axes]
    assert all(0 <= place.x0 < place.x1 <= 1 and 0 <= place.y0 < place.y1 <= 1 for place in places)
    assert places[3].y1 < places[0].y0  # below the tall one in the first row


def test_a_number_below_one_and_a_module_without_detections_are_refused():
    with pytest.raises(ValueError, match=r"DetectionGrid\.count: 0 images; give at least 1"):
        DetectionGrid(0)
    trainer = cpu_trainer(callbacks=[DetectionGrid()])
    with pytest.raises(TypeError, match="DetectionGrid draws detections, but MLPClassifier has no detect: remove"):
        trainer.predict(MLPClassifier((1, 28, 28), 10), DigitsDataModule())
