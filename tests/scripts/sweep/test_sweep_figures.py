import pytest
from matplotlib.colors import to_rgba
from optuna.trial import TrialState, create_trial

from litzoo.scripts.sweep.figures import draw_importance, draw_parallel_coordinates
from litzoo.scripts.sweep.space import Dimension

SPACE = [
    Dimension(("model.optimizer.lr",), "log", (0.001, 0.1)),
    Dimension(("model.hidden",), "choice", ("a", "b", "c")),
]


def trial(rate, hidden, value):
    params = {"model.optimizer.lr": rate, "model.hidden": hidden}
    state = TrialState.PRUNED if value is None else TrialState.COMPLETE
    distributions = {each.name: each.distribution() for each in SPACE}
    return create_trial(state=state, value=value, params=params, distributions=distributions)


TRIALS = [trial(0.001, "a", 0.5), trial(0.01, "b", 0.9), trial(0.1, "c", 0.7), trial(0.01, "a", None)]


@pytest.mark.parametrize(("mode", "heights"), [("max", [0.5, 0.5, 1]), ("min", [0, 0, 0])])
def test_the_best_trial_is_red_on_top_and_at_the_heights_of_its_values(mode, heights):
    (panel,) = draw_parallel_coordinates(TRIALS, SPACE, "val/acc", mode).axes
    lines = [line for line in panel.lines if len(line.get_ydata()) == 3]
    assert len(lines) == 3
    assert to_rgba(lines[-1].get_color()) == to_rgba("tab:red")
    assert list(lines[-1].get_ydata()) == pytest.approx(heights)
    (stopped,) = (line for line in panel.lines if line.get_color() == "lightgray")
    assert list(stopped.get_ydata()) == pytest.approx([0.5, 0])
    texts = {text.get_text() for text in panel.texts}
    assert {"0.001", "0.01", "0.1", "a", "b", "c", "0.5", "0.9"} <= texts
    assert panel.figure.get_suptitle() == "3 completed trials; red: the best, brighter: better; grey: 1 stopped early"


def test_equal_values_are_drawn():
    (panel,) = draw_parallel_coordinates([trial(0.01, "a", 0.5)] * 2, SPACE, "val/acc", "max").axes
    assert list(panel.lines[0].get_ydata())[-1] == 0.5


def test_importances_are_sorted():
    (panel,) = draw_importance({"model.hidden": 0.2, "model.optimizer.lr": 0.8}, "val/acc", 9).axes
    assert [bar.get_width() for bar in panel.patches] == [0.2, 0.8]
    assert "80%" in {text.get_text() for text in panel.texts}
