"""What a comparison prints, and writes into its folder and a page."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from litzoo.datamodules import DigitsDataModule
from litzoo.scripts.compare.command import compare
from tests.scripts.compare.stand_in import OPTIONS, SCORES, set_orders, stand_in, use_the_real_command  # noqa: F401 (a fixture)
from tests.scripts.helpers import CONFIGS, litzoo


def test_a_failure_is_reported_and_does_not_stop_the_others(capsys):
    page = Path("page.md")
    page.write_text("<!-- compare noise -->\n<!-- /compare noise -->\n")
    set_orders(gce_seed_0="fail")
    with pytest.raises(SystemExit) as ended:
        compare([*OPTIONS, "--write", "page.md"])
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert "train/loss is nan\nchoose a smaller learning rate" in captured.out
    assert "trained a little" not in captured.out
    assert "1 of 4 runs failed; page.md is unchanged: gce, seed 0" in captured.err
    assert page.read_text() == "<!-- compare noise -->\n<!-- /compare noise -->\n"
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in captured.out.splitlines() if "│" in line]
    assert rows[0][:3] == ["`ce`", "82.00 ± 2.83 %", "2"]
    assert rows[1][:4] == ["`gce`", "95.00 %", "1", "+11.00; 1 common run"]


def test_table_numbers_and_curves_are_written(monkeypatch):
    monkeypatch.setattr("litzoo.callbacks.reporting.figures.DPI", 120)
    page = Path("docs/page.md")
    page.parent.mkdir()
    page.write_text("before\n<!-- compare noise -->\n<!-- /compare noise -->\nafter\n")
    compare([*OPTIONS, "--metric", "test/balanced_acc", "--also", "test/acc/", "test/bal", "--write", str(page)])
    text = page.read_text()
    # Balanced accuracy: (last + 1) / 2 of each seed; differences 0.065 and 0.055, t(1) = 12.706, s / √2 = 0.005.
    assert "| `ce` | 91.00 ± 1.41 % | 2 |  | 30 |" in text
    assert "| `gce` | 97.00 ± 0.71 % | 2 | +6.00 (-0.35 to +12.35) | 30 |" in text
    assert "| `gce` | 94.00 ± 1.41 | 100.00 ± 0.00 |" in text
    assert "| test/bal... | anced_acc |" in text
    assert "weights of the last epoch, seeds 0, 1" in text
    assert "a box, 32-true, torch 2, one run at a time, 2026-01-02." in text
    assert "litzoo compare ce.yaml gce.yaml --seeds 0 1 --name noise" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "![val/acc by epoch](images/compare_noise.png)" in text
    assert Image.open("docs/images/compare_noise.png").size[0] > 500
    result = json.loads(Path("docs/results/compare_noise.json").read_text())
    assert [run["seed"] for run in result["variants"]["gce"]["runs"]] == [0, 1]
    assert [run["metrics"]["test/acc"] for run in result["variants"]["gce"]["runs"]] == [0.93, 0.95]
    assert result["variants"]["gce"]["difference"]["mean"] == pytest.approx(0.06)
    assert result["curves"]["val/acc"]["ce"]["1"] == {"1": 0.5, "2": 0.75}


def test_results_and_figures_are_always_written_into_the_folder_of_the_comparison():
    Path("template/splits.json").write_text(json.dumps({"label_noise": {"train": 0.2, "val": 0.3}}))
    compare(OPTIONS)
    folder = Path("runs/compare_noise")
    files = {path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")}
    assert files == {"results.md", "results.csv", "results.json", "differences.png", "curves.png"}
    text = (folder / "results.md").read_text()
    assert "| `gce` | 94.00 ± 1.41 % | 2 | +12.00 (-0.71 to +24.71) | 30 |" in text
    assert "](differences.png)" in text
    assert "litzoo compare ce.yaml gce.yaml" in text
    with (folder / "results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["variant"], row["seed"], float(row["test/acc"])) for row in rows] == [
        *(("ce", "0", 0.8), ("ce", "1", 0.84)),
        *(("gce", "0", 0.93), ("gce", "1", 0.95)),
    ]
    assert rows[0]["hardware"] == "a box"
    result = json.loads((folder / "results.json").read_text())
    assert (result["metric"], result["failed"]) == ("test/acc", [])


def test_one_variant_has_no_figure_of_differences():
    compare(OPTIONS)
    compare([OPTIONS[0], *OPTIONS[2:]])
    folder = Path("runs/compare_noise")
    assert not (folder / "differences.png").exists()
    assert "differences.png" not in (folder / "results.md").read_text()


def test_the_results_name_the_runs_that_failed():
    set_orders(gce_seed_0="fail")
    with pytest.raises(SystemExit):
        compare(OPTIONS)
    folder = Path("runs/compare_noise")
    assert "**Not finished, and not in these results: gce, seed 0.**" in (folder / "results.md").read_text()
    assert json.loads((folder / "results.json").read_text())["failed"] == ["gce, seed 0"]


def test_training_metrics_are_those_of_the_last_epoch(capsys):
    compare([*OPTIONS, "--metric", "train/suspects/precision", "--curve", "train/suspects/precision"])
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("25.00 ± 0.00 %") == 2
    assert "Last epoch, seeds 0, 1" in shown
    assert "Test set" not in shown


def test_a_metric_that_is_not_logged_in_the_last_epoch_is_not_shown(capsys):
    with SummaryWriter("template") as board:
        board.add_scalar("train/pseudo/accuracy/3", 0.125, 0)  # not logged in the second epoch
        board.add_scalar("train/pseudo/accuracy/4", 0.375, 10)
    compare([*OPTIONS, "--also", "train/pseudo/accuracy"])
    shown = capsys.readouterr().out
    assert "37.50" in shown
    assert "12.50" not in shown


def test_marks_within_lines_are_unchanged_without_a_second_variant():
    marked = "<!-- compare noise ce -->old<!-- / -->"
    Path("page.md").write_text(f"{marked}\n<!-- compare noise -->\n<!-- /compare noise -->\n")
    compare(["ce.yaml", "--seeds", "0", "1", "--name", "noise", "--write", "page.md"])
    assert Path("page.md").read_text().startswith(f"{marked}\n")


def test_a_diverged_run_is_shown_as_nan_and_all_files_are_written(capsys):
    scores = {"ce": {"seed_0": [0.9, 0.8], "seed_1": [0.92, 0.84]}}
    broken = {f"seed_{seed}": [{"test/acc": 0.1, "test/loss": float("nan")}] * 2 for seed in (0, 1)}
    fine = {seed: [{"test/acc": each, "test/loss": 1 - each} for each in both] for seed, both in scores["ce"].items()}
    Path("scores.json").write_text(json.dumps({"ce": fine, "gce": broken}))
    compare([*OPTIONS, "--epoch", "best", "--metric", "test/loss", "--also", "test/"])
    assert "nan" in capsys.readouterr().out
    folder = Path("runs/compare_noise")
    assert {"results.md", "results.csv", "results.json", "curves.png"} <= {path.name for path in folder.iterdir()}
    assert "| `gce` | nan | 2 | nan |" in (folder / "results.md").read_text()
    assert not (folder / "differences.png").exists()  # there is no other difference


def test_without_curves_all_other_files_are_written(capsys):
    compare([*OPTIONS, "--epoch", "best"])
    folder = Path("runs/compare_noise")
    assert (folder / "curves.png").exists()
    for path in [*Path("template").glob("events*"), *folder.rglob("events*")]:
        path.unlink()
    compare([*OPTIONS, "--epoch", "best"])
    assert capsys.readouterr().out.count("No curves: not all runs have logged val/acc") == 1
    assert not (folder / "curves.png").exists()
    assert "curves.png" not in (folder / "results.md").read_text()
    assert json.loads((folder / "results.json").read_text())["curves"] == {}
    assert {"results.md", "results.csv", "results.json", "differences.png"} <= {path.name for path in folder.iterdir()}


def test_differences_to_another_variant_than_the_first_say_so():
    Path("scores.json").write_text(json.dumps({**SCORES, "third": SCORES["gce"]}))
    set_orders(ce_seed_0="fail", ce_seed_1="fail")
    with pytest.raises(SystemExit):
        compare([*OPTIONS, "--epoch", "best", "--variant", "third: gce.yaml --model.x 1"])
    assert "since `ce` has no result" in Path("runs/compare_noise/results.md").read_text()


def test_variants_trained_on_different_data_are_named(capsys):
    record = Path("template/run.json")
    for number, variants in enumerate((["ce.yaml"], ["ce.yaml", "gce.yaml"])):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"split_fingerprint": str(number)}))
        compare([*variants, "--name", "noise", "--seeds", "0"])
    text = "The runs of ce, gce were trained on different data"
    assert text in capsys.readouterr().out
    assert text in Path("runs/compare_noise/results.md").read_text()


@pytest.mark.parametrize("seeded", [False, True])
def test_seeds_trained_on_different_data_are_named(seeded, capsys):
    options = ["ce.yaml", "--name", "noise", *(["--common=--data.seed {seed}"] if seeded else [])]
    record = Path("template/run.json")
    for number, seeds in enumerate((["0"], ["0", "1"])):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"split_fingerprint": str(number)}))
        compare([*options, "--seeds", *seeds])
    text = "The runs of ce were trained on different data, which have changed in between"
    assert (text in capsys.readouterr().out.replace("\n", " ")) is not seeded
    assert (f"**{text}" in Path("runs/compare_noise/results.md").read_text()) is not seeded


@pytest.mark.parametrize(("steps", "told"), [((100, 149), False), ((100, 150), True), ((2300, 100), True)])
def test_trainings_of_other_lengths_are_told(steps, told, capsys):
    record = Path("template/run.json")
    for number, variants in zip(steps, (["ce.yaml"], ["ce.yaml", "gce.yaml"]), strict=True):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"optimizer_steps": number}))
        compare([*variants, "--name", "noise", "--seeds", "0"])
    text = f"Optimizer steps: `ce` {steps[0]:,}, `gce` {steps[1]:,}."
    assert (text in capsys.readouterr().out.replace("\n", " ")) is told
    assert (text in Path("runs/compare_noise/results.md").read_text()) is told


@pytest.mark.slow
def test_variants_evaluated_on_other_labels_are_named_until_all_are_tested_on_the_same(monkeypatch, capsys):
    use_the_real_command(monkeypatch)
    data = DigitsDataModule()
    data.setup("test")
    labels = [(int(label), (int(label) + 1) % 10) for label in data.test_labels[:2]]
    rows = [f"{number},test,{old},relabel,{new}" for number, (old, new) in enumerate(labels)]
    Path("fixed.csv").write_text("\n".join(["index,part,given,action,label", *rows]) + "\n")
    options = "--trainer.max_epochs=1 --trainer.accelerator=cpu --model.hidden=[8]"
    command = [str(CONFIGS / "digits_mlp.yaml"), "--name", "labels", "--seeds", "0", f"--common={options}"]
    command += ["--variant", "before:", "--variant", "after: --data.corrections fixed.csv"]
    compare(command)
    text = (
        "data.corrections changes 2 labels of after, and none of before. A part of the difference is that of the labels"
    )
    assert text in capsys.readouterr().out
    assert text in Path("runs/compare_labels/results.md").read_text()
    run = Path("runs/compare_labels/before/seed_0/version_0")
    corrected = ["test", f"--config={run}/config.yaml", "--data.corrections=fixed.csv"]
    litzoo(*corrected, "--ckpt_path=best")  # the table is of the last epoch
    compare(command)
    printed = " ".join(capsys.readouterr().out.split())
    assert text in printed
    assert "--ckpt_path last --data.corrections FILE" in printed
    litzoo(*corrected, "--ckpt_path=last")
    compare(command)
    assert text not in capsys.readouterr().out
    assert text not in Path("runs/compare_labels/results.md").read_text()
