import json
from pathlib import Path

import pytest

from litzoo.scripts.docs.readme_opening import (
    MISSING,
    add_timed,
    comparison_rows,
    draw,
    opening,
    read_comparison,
    system_rows,
)

RESULTS = Path("results")


def write_comparison(name, tested, validated, low=None):
    """Writes the result file of a comparison: variant -> test accuracies, and validation accuracies of two epochs."""
    runs = {key: [{"metrics": {"test/acc": each}} for each in values] for key, values in tested.items()}
    difference = {"mean": 0.1, "low": low, "high": None if low is None else 0.2}
    variants = {key: {"runs": each, "difference": difference} for key, each in runs.items()}
    curves = {key: {"0": {"1": 0.9, "2": 0.8, "10": value}} for key, value in validated.items()}
    RESULTS.mkdir(exist_ok=True)
    content = {"variants": variants, "curves": {"val/acc": curves}}
    (RESULTS / f"compare_{name}.json").write_text(json.dumps(content))


def test_the_best_method_is_chosen_by_its_last_validation_and_not_by_the_test():
    write_comparison("a", {"ce": [0.5], "x": [0.9], "y": [0.6]}, {"ce": 0.99, "x": 0.3, "y": 0.4})
    found = read_comparison(RESULTS / "compare_a.json")
    assert (found.method, found.plain, found.helped) == ("y", [50.0], [60.0])


def test_a_method_that_was_named_beforehand_is_shown_whatever_the_others_reach():
    write_comparison("cifar10_4000", {"ce": [0.7], "cifar10_4000_fixmatch": [0.8], "x": [0.9]}, {})
    assert comparison_rows(RESULTS, {})[0][2] == "**80.0 %**, `cifar10_4000_fixmatch`"
    assert read_comparison(RESULTS / "compare_cifar10_4000.json", "y") is None


def test_without_results_everything_is_not_measured_yet():
    RESULTS.mkdir()
    assert comparison_rows(RESULTS, {}) == []
    assert not draw(RESULTS, Path("figure.png"))
    text = opening(RESULTS, None)
    assert "![" not in text
    assert "cross-entropy" not in text
    assert f"`cifar10_fast`: {MISSING} | {MISSING} |" in text


def test_measured_rows_have_gain_interval_and_the_time_of_an_idle_machine():
    write_comparison("cifar10_noisy_50", {"ce": [0.5, 0.52], "x": [0.6, 0.62]}, {"ce": 0.3, "x": 0.4}, low=0.05)
    write_comparison("cifar10n_worst", {"ce": [0.5], "x": [0.6]}, {"ce": 0.3, "x": 0.4})
    rows = comparison_rows(RESULTS, {"x": {"training_seconds": 90}})
    first = [
        "50 % wrong labels, symmetric",
        "51.0 ± 1.4 %",
        "**61.0 ± 1.4 %**, `x`",
        "+10.0 (+5.0 to +20.0)",
        "2",
        "1.5 min",
    ]
    assert rows[0] == first
    assert rows[1][3:] == ["+10.0", "1", "1.5 min"]
    assert len(rows) == 2
    text = opening(RESULTS, None)
    assert "40 % wrong labels, asymmetric; 50 % wrong labels, symmetric; long, not augmented" in text.replace("\n", " ")
    assert draw(RESULTS, Path("images/figure.png"))
    assert Path("images/figure.png").read_bytes().startswith(b"\x89PNG")


def write_run(folder, **record):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"epochs": 10, "seed": 0, "command": "secret/path"} | record))
    (folder / "metrics.json").write_text(json.dumps({"test/acc": 0.87, "val/acc": 0.1}))


def test_timed_runs_are_kept_by_experiment_without_their_paths():
    RESULTS.mkdir()
    run = Path("runs/cifar10_fast/version_3")
    write_run(run, training_seconds=150.0, date="2026-01-02", hardware="a CPU")
    add_timed([run], RESULTS)
    content = (RESULTS / "timed_runs.json").read_text()
    assert "secret" not in content
    timed = json.loads(content)
    (RESULTS / "source_recipes.json").write_text(
        json.dumps({"recipes": {"cifar10_resnet18": {"epochs": 50, "seconds_per_epoch": 360}}, "environment": "a CPU"})
    )
    first = system_rows(RESULTS, timed)[0]
    assert first[1:] == ["81.34 %", "5.0 h", "`cifar10_fast`: **87.00 %**", "2.5 min"]


def test_an_unfinished_run_is_refused():
    run = Path("runs/x/version_0")
    write_run(run, training_seconds=None)
    with pytest.raises(ValueError, match=r"--timed .*version_0: holds no finished and tested run"):
        add_timed([run], RESULTS)
