from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.colors import same_color

from litzoo.callbacks.reporting.figures import new_figure
from litzoo.datamodules import DigitsDataModule, LongTailed, SymmetricNoise
from litzoo.scripts.data_sheet.classification import (
    MAX_CLASSES,
    SAMPLES,
    VIEWS,
    draw_histogram,
    draw_nine_views,
    draw_samples,
    draw_sheet,
    draw_views,
    sheet_title,
)
from tests.datamodules.image_folder import folder_data, write_class

IMBALANCED = {"imbalance": LongTailed(20), "label_noise": SymmetricNoise(0.4), "val_size": 100}
FEW = {"num_labeled": 60, "unlabeled_batch_size": 20, "val_size": 100}
OTHERS = {**FEW, "known_classes": [7, 1, 4], "unknown_unlabeled": 40}


def digits(**options):
    datamodule = DigitsDataModule(**options)
    datamodule.setup("fit"), datamodule.setup("test")
    return datamodule


def axes_of(draw, *arguments):
    figure = new_figure(8, 8)
    draw(figure.subfigures(1, 1), *arguments)
    return figure.axes


def bars(panel):
    """Returns the heights of the bars, part -> one a class."""
    return {bar.get_label(): [patch.get_height() for patch in bar.patches] for bar in panel.containers}


def shown(panel):
    """Returns the image in a panel, uint8 `[C, H, W]`."""
    pixels = torch.from_numpy(np.array(panel.images[0].get_array()))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


@pytest.mark.parametrize(
    "options", [{"val_size": 100}, IMBALANCED, FEW, {"known_classes": [7, 1, 4]}, OTHERS], ids=", ".join
)
def test_the_bars_show_the_samples_per_class(options):
    datamodule = digits(**options)
    panel, classes = axes_of(draw_histogram, datamodule)[0], range(datamodule.num_classes)
    parts = datamodule.split._asdict() if "num_labeled" in options else datamodule.split._asdict() | {"unlabeled": None}
    expected = {
        name: [datamodule.targets[part].tolist().count(label) for label in classes]
        for name, part in parts.items()
        if part is not None
    }
    tested = datamodule.test_set.targets.tolist()
    assert bars(panel) == expected | {"test": [tested.count(label) for label in classes]}
    assert [tick.get_text() for tick in panel.get_xticklabels()] == list(datamodule.class_names)
    assert panel.get_title() == sheet_title(datamodule.split_report())


def test_the_bars_of_a_class_are_centered_on_its_name():
    patches = [bar.patches for bar in axes_of(draw_histogram, digits())[0].containers]
    for label in range(10):
        edges = [(each[label].get_x(), each[label].get_x() + each[label].get_width()) for each in patches]
        assert all(right == pytest.approx(left) for (_, right), (left, _) in pairwise(edges))
        assert edges[0][0] + edges[-1][1] == pytest.approx(2 * label)
        assert label - 0.5 < edges[0][0] < edges[-1][1] < label + 0.5


def test_a_class_of_one_sample_has_a_bar_that_can_be_seen():
    panel = axes_of(draw_histogram, digits(imbalance=LongTailed(128), train_size={"per_class": 128}))[0]
    assert bars(panel)["train"][-1] == 1
    assert panel.get_ylim()[0] < 1
    assert (panel.get_yscale(), panel.get_ylabel()) == ("log", "samples (log scale)")


def test_bars_of_similar_classes_have_heights_in_proportion():
    panel = axes_of(draw_histogram, digits())[0]
    assert (panel.get_yscale(), panel.get_ylabel(), panel.get_ylim()[0]) == ("linear", "samples", 0)


def test_what_an_epoch_serves_is_drawn_where_it_is_not_each_sample_once():
    plain, weighted = (axes_of(draw_histogram, digits(**IMBALANCED, sampling=s))[0] for s in ("shuffle", "weighted"))
    assert set(bars(plain)) == {"train", "val", "test"}
    served = bars(weighted)["one epoch (weighted)"]
    assert sum(served) == sum(bars(weighted)["train"])
    assert max(served) - min(served) <= 1  # the weighting is `inverse`


@pytest.mark.parametrize(
    "options", [{}, IMBALANCED, {"label_noise": SymmetricNoise(1.0)}], ids=["right", "some", "all"]
)
def test_samples_are_those_of_their_row_and_true_classes_of_wrong_labels_are_red(options):
    datamodule = digits(**options)
    train, panels = datamodule.train_set, axes_of(draw_samples, datamodule, list(range(10)))
    assert len(panels) == 10 * SAMPLES
    red = 0
    for row, label in enumerate(range(10)):
        of_row = panels[SAMPLES * row : SAMPLES * (row + 1)]
        assert [text.get_text() for text in of_row[0].texts] == [datamodule.class_names[label]]
        members = train.indices[train.targets[train.indices] == label][:SAMPLES]
        assert sum(bool(panel.images) for panel in of_row) == len(members)
        for panel, index in zip(of_row, members.tolist(), strict=False):
            assert torch.equal(shown(panel), train.inputs[index])
            true = int(datamodule.clean_targets[index])
            assert panel.get_title() == ("" if true == label else datamodule.class_names[true])
            if true != label:
                red += 1
                assert same_color(panel.title.get_color(), "tab:red")
    assert (red > 0) == ("label_noise" in options)


def test_of_many_classes_some_are_drawn_evenly_from_first_to_last():
    for number in range(30):
        write_class(f"many/{number:02}", 8, side=4, seed=100 * number)
    datamodule = folder_data("many", val_size=0)
    datamodule.setup("fit")
    figure = draw_sheet(datamodule)
    names = [panel.texts[0].get_text() for panel in figure.axes if panel.texts and panel.texts[0].get_text().isdigit()]
    assert len(names) == len(set(names)) == MAX_CLASSES
    assert names == sorted(names)
    assert (names[0], names[-1]) == ("00", "29")


@pytest.mark.parametrize("augment", ["none", "shift"])
def test_views_are_beside_their_original_image(augment):
    datamodule = digits(augment=augment)
    panels = axes_of(draw_views, datamodule)
    assert len(panels) == 4 * VIEWS
    for position in range(4):
        first, *views = (shown(panel) for panel in panels[VIEWS * position : VIEWS * (position + 1)])
        assert torch.equal(first, datamodule.train_set[position]["input"])
        assert all(torch.equal(view, first) for view in views) == (augment == "none")


def test_unlabeled_images_have_weak_and_strong_views():
    datamodule = digits(**FEW, augment="none", strong_augment="shift")
    panels = axes_of(draw_views, datamodule)
    assert [panels[VIEWS * row].texts[0].get_text() for row in range(4)] == ["weak", "strong"] * 2
    for row in range(4):
        first, *views = (shown(panel) for panel in panels[VIEWS * row : VIEWS * (row + 1)])
        assert torch.equal(first, datamodule.unlabeled_set[row // 2]["input"])
        assert all(torch.equal(view, first) for view in views) == (row % 2 == 0)


def test_nine_views_use_the_augmentations_of_the_training():
    panels = draw_nine_views(digits(augment=["none", "shift"])).axes
    views = {shown(panel).numpy().tobytes() for panel in panels}
    assert len(panels) == 9
    assert 2 < len(views) <= 9
    unlabeled = draw_nine_views(digits(**FEW, augment="none", strong_augment="shift"))
    assert [part.get_suptitle() for part in unlabeled.subfigs] == ["weak", "strong"]
    weak, strong = ({shown(panel).numpy().tobytes() for panel in part.axes} for part in unlabeled.subfigs)
    assert len(weak) == 1 < len(strong)


@pytest.mark.parametrize("options", [{}, FEW, FEW | {"unknown_unlabeled": 40}], ids=["labeled", "unlabeled", "others"])
@pytest.mark.parametrize("known", [[0, 1], [1, 4, 7]], ids=len)
def test_images_of_few_classes_are_large_enough_to_be_seen(known, options):
    figure = draw_sheet(digits(known_classes=known, **options))
    figure.draw_without_rendering()
    widths = [panel.get_window_extent().width / figure.dpi for panel in figure.axes if panel.images]
    assert len(widths) == len(known) * SAMPLES + 4 * VIEWS
    assert min(widths) > 0.25  # inches


def test_the_title_has_the_samples_of_unknown_classes():
    report = {"sizes": {"train": 9, "unlabeled": 8000}, "fingerprint": "abc", "unknown": {"unlabeled": 1234, "test": 5}}
    lines = ["9 train, 8,000 unlabeled", "unknown classes: 1,234 unlabeled, 5 test", "fingerprint abc"]
    assert sheet_title(report).splitlines() == lines


def test_the_title_has_sizes_fingerprint_and_label_noise():
    report = {"sizes": {"train": 12345, "val": 10}, "fingerprint": "abc", "label_noise": {"train": 0.1234}}
    assert sheet_title(report) == "12,345 train, 10 val\nfingerprint abc, 12.3% of train labels wrong"
