import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from litzoo.callbacks import Energy, MaxLogit, UnknownClassDetector
from litzoo.callbacks.reporting.figures import _stacked
from litzoo.callbacks.unknown._figures import MOST_POINTS, GallerySamples, draw_gallery, draw_scores
from tests.callbacks.drawn import drawn_images, row_names
from tests.callbacks.open_set_digits import fit

UNKNOWN = torch.tensor([False, False, False, True, True, True, False, True])
SCORES = torch.tensor([0.0, 1.0, 7.0, 6.0, 9.0, 2.0, 8.0, 3.0], dtype=torch.float64)
OTHER_SCORES = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], dtype=torch.float64)
NAMES = ["cat", "dog", "cat", "car", "bus", "car", "dog", "bus"]
PREDICTED = ["cat", "dog", "dog", "cat", "dog", "dog", "dog", "cat"]


def bars(axis, label):
    """Returns the left edges and the heights of the histogram with a label."""
    (steps,) = [each for each in axis.patches if each.get_label() == label]
    heights, edges, _ = steps.get_data()
    return edges[:-1].tolist(), heights.tolist()


@pytest.mark.parametrize("threshold", [5.0, 0.0, 9.0])
def test_histograms_of_known_and_unknown_samples_and_the_threshold(threshold):
    figure = draw_scores({"MaxLogit": SCORES, "Energy": OTHER_SCORES}, UNKNOWN, "MaxLogit", threshold)
    histogram = figure.axes[0]
    assert figure.get_suptitle() == "4 of 8 test samples are of unknown classes"
    assert histogram.get_xlabel().startswith("MaxLogit, higher = more unknown")
    for label, rows in [("known", ~UNKNOWN), ("unknown", UNKNOWN)]:
        edges, heights = bars(histogram, label)
        assert sum(heights) == pytest.approx(1)
        expected = np.histogram(SCORES[rows], 50, range=(0, 9))[0] / 4
        assert heights == pytest.approx(expected.tolist())
        assert edges == pytest.approx(np.linspace(0, 9, 51)[:-1].tolist())
    (line,) = [each for each in histogram.lines if each.get_label() == "threshold"]
    assert list(line.get_xdata()) == [threshold, threshold]
    assert [text.get_text() for text in histogram.get_legend().get_texts()] == ["known", "unknown", "threshold"]


def test_a_roc_curve_for_each_score_and_the_point_at_the_threshold():
    figure = draw_scores({"MaxLogit": SCORES, "Energy": OTHER_SCORES}, UNKNOWN, "MaxLogit", 6.5)
    first, second, point = figure.axes[1].lines
    for line, scores, name in [(first, SCORES, "MaxLogit"), (second, OTHER_SCORES, "Energy")]:
        area = np.trapezoid(line.get_ydata(), line.get_xdata())
        assert area == pytest.approx(roc_auc_score(UNKNOWN, scores))
        assert line.get_label() == f"{name}, AUROC {area:.3f}"
    assert first.get_linewidth() > second.get_linewidth()
    # The scores above 6.5 are 7 and 8 of known samples and 9 of an unknown one.
    assert (list(point.get_xdata()), list(point.get_ydata())) == ([2 / 4], [1 / 4])


@pytest.mark.parametrize("distance", [1.0, 6.0])  # on a linear and on a logarithmic axis
def test_curves_of_many_samples_have_few_points_and_the_same_area(distance):
    generator = torch.Generator().manual_seed(0)
    unknown = torch.rand(20_000, generator=generator) < 0.3
    scores = torch.randn(20_000, generator=generator).double() + distance * unknown
    figure = draw_scores({"MaxLogit": scores}, unknown, "MaxLogit", 1.0)
    roc, precision = figure.axes[1].lines[0], figure.axes[2].lines[0]
    assert figure.axes[1].get_xscale() == ("log" if distance > 3 else "linear")
    assert len(roc.get_xdata()) <= 3 * MOST_POINTS
    assert len(precision.get_xdata()) <= 3 * MOST_POINTS
    area = np.trapezoid(roc.get_ydata(), roc.get_xdata())
    assert area == pytest.approx(roc_auc_score(unknown, scores), abs=2e-3)
    expected = average_precision_score(unknown, scores)
    assert precision.get_label() == f"MaxLogit, average precision {expected:.3f}"
    drawn = -np.sum(np.diff(precision.get_xdata()) * precision.get_ydata()[:-1])
    assert drawn == pytest.approx(expected, abs=4e-3)


@pytest.mark.parametrize("threshold", [-3.0, 20.0])
def test_a_threshold_beyond_all_scores_is_drawn_only_in_the_roc_curve(threshold):
    figure = draw_scores({"MaxLogit": SCORES}, UNKNOWN, "MaxLogit", threshold)
    assert not figure.axes[0].lines
    assert list(figure.axes[1].lines[-1].get_xdata()) == [float(threshold < 0)]


@pytest.mark.parametrize(
    "scores",
    [
        torch.ones(8),
        torch.linspace(-20, -20 + 1e-14, 8).double(),
        torch.full((8,), torch.inf),
        torch.where(UNKNOWN, torch.inf, SCORES),
        torch.where(UNKNOWN, SCORES, -torch.inf),
    ],
)
def test_equal_and_infinite_scores_are_drawn(scores):
    figure = draw_scores({"MaxLogit": scores.double()}, UNKNOWN, "MaxLogit", 1.0)
    assert sum(bars(figure.axes[0], "known")[1]) == pytest.approx(1)
    assert sum(bars(figure.axes[0], "unknown")[1]) == pytest.approx(1)
    figure.savefig("drawn.png")


def images(rows):
    """Returns images of rows; all pixels of row r are 10 r."""
    return (10 * rows).to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)


def gallery(images=images):
    return GallerySamples(SCORES, UNKNOWN, NAMES, PREDICTED, images)


def shown(figure):
    """Returns for each row of the gallery its images as (pixel value / 10, caption)."""
    rows = [[], [], []]
    for each in drawn_images(figure):
        assert each.column == len(rows[each.row])
        rows[each.row].append((int(each.pixels.max()) // 10, each.caption))
    return rows


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_gallery_shows_the_highest_scores_and_the_lowest_of_missed_samples(count):
    figure = draw_gallery(gallery(), 5.0, count)
    found = [(4, "bus\nlike dog\n9.00"), (3, "car\nlike cat\n6.00")]
    missed = [(5, "car\nlike dog\n2.00"), (7, "bus\nlike cat\n3.00")]
    rejected = [(6, "dog\nlike dog\n8.00"), (2, "cat\nlike dog\n7.00")]
    assert shown(figure) == [found[:count], missed[:count], rejected[:count]]
    assert row_names(figure) == ["unknown, found\n2", "unknown, missed\n2", "known, rejected\n2"]
    assert "unknown above 5" in figure.get_suptitle()


@pytest.mark.parametrize(("threshold", "rows"), [(-1.0, [4, 0, 4]), (10.0, [0, 4, 0])])
def test_rows_of_the_gallery_may_be_empty(threshold, rows):
    figure = draw_gallery(gallery(), threshold, 6)
    assert [len(row) for row in shown(figure)] == rows


def test_gallery_of_colour_images():
    def coloured(rows):
        return torch.full((len(rows), 3, 4, 4), 200, dtype=torch.uint8)

    figure = draw_gallery(gallery(coloured), 5.0, 2)
    assert {each.pixels.shape for each in drawn_images(figure)} == {(4, 4, 3)}


def test_a_test_writes_both_figures_as_files_and_to_tensorboard():
    logger = TensorBoardLogger("run", name="", version="")
    detector = UnknownClassDetector(MaxLogit(), report=[Energy()], count=3)
    trainer, model, datamodule = fit(detector, logger=logger, max_epochs=1)
    trainer.test(model, datamodule, verbose=False)
    sizes = {}
    for name in ("unknown_scores", "unknown_gallery"):
        with Image.open(f"run/figures/{name}.png") as image:
            sizes[name] = image.size
    assert sizes["unknown_scores"] == (1728, 480)  # three panels
    board = EventAccumulator("run", size_guidance={"images": 0}).Reload()
    cards = {name: board.Images(f"figures/{name}")[-1] for name in sizes}
    assert cards["unknown_scores"].width == 576  # the panels are one below the other
    assert 480 < cards["unknown_scores"].height < 3 * 480
    assert cards["unknown_gallery"].width <= 576
    assert {"val/known/score_std", "val/known/accepted"} <= set(board.Tags()["scalars"])
    assert "test/unknown/found" in board.Tags()["scalars"]


@pytest.mark.parametrize("count", [1, 6])
def test_legends_cover_neither_a_curve_nor_another_panel(count):
    scores = {f"Score{number}": SCORES for number in range(count)}
    figure = draw_scores(scores, UNKNOWN, "Score0", 6.5)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    legends = [panel.get_legend().get_window_extent(canvas.get_renderer()) for panel in figure.axes]
    labels = [panel.xaxis.label.get_window_extent(canvas.get_renderer()) for panel in figure.axes]
    for legend, label in zip(legends, labels, strict=True):
        assert not any(legend.overlaps(panel.get_window_extent()) for panel in figure.axes)
        assert not legend.overlaps(label)
        assert legend.y0 >= 0


def test_no_two_of_eleven_scores_look_alike():
    scores = {f"Score{number}": SCORES for number in range(11)}
    figure = draw_scores(scores, UNKNOWN, "Score0", 6.5)
    for panel in figure.axes[1:]:
        looks = [(line.get_color(), line.get_linestyle()) for line in panel.lines if "Score" in line.get_label()]
        assert len(looks) == len(set(looks)) == 11


def test_panels_are_put_below_each_other_even_if_one_is_empty():
    pixels = np.full((50, 90, 3), 255, np.uint8)
    pixels[9, 5] = pixels[29, 65] = 0  # in the first and in the third of three
    stacked = _stacked(pixels, 3)
    assert stacked.shape == (29 + 20 + 49, 30, 3)  # up to the last drawn row, and a gap
    assert (np.argwhere(stacked[..., 0] == 0) == [[9, 5], [29 + 20 + 29, 5]]).all()
