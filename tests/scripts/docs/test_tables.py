import json
from pathlib import Path

import pytest

from litzoo.scripts.docs.experiments_table import (
    collect,
    compared_on,
    experiment_row,
    segmentation_row,
    source_rows,
)
from litzoo.scripts.tables import markdown_table, replace_between, replace_within_lines


def test_a_table_has_a_line_for_each_row():
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_only_the_text_between_the_marks_is_replaced():
    path = Path("page.md")
    path.write_text("before\n<!-- x -->\nold\n<!-- /x -->\nafter\n")
    for text in ("new", "newer"):
        replace_between(path, "x", text)
    assert path.read_text() == "before\n<!-- x -->\n\nnewer\n\n<!-- /x -->\nafter\n"


@pytest.mark.parametrize("content", ["", "<!-- x -->", "<!-- /x --><!-- x -->", "<!-- x --><!-- x --><!-- /x -->"])
def test_a_page_without_one_pair_of_marks_is_refused(content):
    Path("page.md").write_text(content)
    with pytest.raises(ValueError, match=r"page\.md"):
        replace_between(Path("page.md"), "x", "new")


def test_values_are_written_between_all_marks_within_lines():
    path = Path("page.md")
    path.write_text(
        "| a | <!-- x p -->old<!-- / --> | <!-- x q --><!-- / --> |\n<!-- x p --><!-- / --><!-- y p -->z<!-- / -->\n"
    )
    for value in ("1", r"\1 new"):
        replace_within_lines(path, "x", {"p": value, "q": "2", "absent": "3"})
    text = path.read_text()
    assert text.count(r"<!-- x p -->\1 new<!-- / -->") == 2
    assert text.startswith("| a | ")
    assert "<!-- x q -->2<!-- / -->" in text
    assert text.endswith("<!-- y p -->z<!-- / -->\n")


def write_run(version, command, seed, accuracy, place="mnist_mlp", **facts):
    folder = Path(f"runs/{place}/version_{version}")
    folder.mkdir(parents=True)
    run = {"command": command, "seed": seed, "epochs": 15, "training_seconds": 9.0, "date": "2026-01-02", **facts}
    run["primary_metric"] = "acc"
    (folder / "run.json").write_text(json.dumps(run | {"hardware": "a machine", "precision": "32-true"}))
    (folder / "metrics.json").write_text(json.dumps({"val/acc": 0.5, "test/acc": accuracy, "test/acc/7": 0.1}))


def test_only_the_newest_run_of_each_seed_without_other_options_counts():
    printed = "litzoo fit --config configs/mnist_mlp.yaml --seed_everything"
    write_run(0, f"{printed} 0", 0, 0.1)
    write_run(2, f"{printed} 0", 0, 0.98)
    write_run(10, f"{printed} 1 --trainer.precision bf16-mixed", 1, 0.96)
    write_run(11, f"{printed} 2 --model.dropout 0.9", 2, 0.2)
    write_run(12, "litzoo fit --config configs/mnist_mlp.yaml", 0, 0.3)
    runs = collect(Path("runs"))["mnist_mlp"]
    assert [(run["seed"], run["metrics"]) for run in runs] == [(0, {"test/acc": 0.98}), (1, {"test/acc": 0.96})]
    cells = experiment_row("mnist_mlp", runs, None)
    # The sample standard deviation of 98 and 96; t(0.975, 1) = 12.706 times √2 / √2.
    assert cells[3:6] == ["**97.00 ± 1.41 %**", "84.29 to 109.71", "2 (0, 1)"]


def test_the_newest_run_of_several_folders_is_that_with_the_latest_date():
    printed = "litzoo fit --config configs/mnist_mlp.yaml --seed_everything 0"
    write_run(1, printed, 0, 0.1, place="old/mnist_mlp", date="2026-01-01")
    write_run(0, printed, 0, 0.9, place="new/mnist_mlp", date="2026-11-01")
    write_run(2, printed, 0, 0.2, place="older/mnist_mlp", date="2025-12-31")
    assert [run["metrics"] for run in collect(Path("runs"))["mnist_mlp"]] == [{"test/acc": 0.9}]


def test_a_run_whose_first_part_had_other_options_does_not_count():
    printed = "litzoo fit --config configs/mnist_mlp.yaml --seed_everything"
    for seed, options in enumerate(["", " --model.dropout 0.9"]):
        earlier = [{"command": f"{printed} {seed}"}, {"command": f"{printed} {seed}{options}"}]
        write_run(seed, f"{printed} {seed} --ckpt_path last", seed, 0.5, earlier=earlier)
    assert [run["seed"] for run in collect(Path("runs"))["mnist_mlp"]] == [0]


def test_copies_and_damaged_runs_do_not_count():
    printed = "litzoo fit --config configs/mnist_mlp.yaml --seed_everything 0"
    write_run(0, printed, 0, 0.5)
    write_run("0_copy", printed, 0, 0.9)
    write_run(1, printed, 0, 0.9)
    Path("runs/mnist_mlp/version_1/run.json").write_text("{}")
    write_run(2, printed, 0, 0.9)
    Path("runs/mnist_mlp/version_2/metrics.json").write_text('{"test/acc": 0.')
    assert [run["metrics"] for run in collect(Path("runs"))["mnist_mlp"]] == [{"test/acc": 0.5}]


def test_runs_of_a_comparison_count_if_there_are_no_others():
    fit = "__main__.py fit --config configs/{}.yaml --trainer.precision bf16-mixed{} --seed_everything {}"
    ours = " --experiment compare_a/x --trainer.default_root_dir runs --trainer.enable_progress_bar false"
    for name in ("mnist_mlp", "mnist_cnn"):
        for seed in (0, 1):
            command = fit.format(name, "", seed) + ours
            write_run(0, command, seed, 0.8 + seed / 10, place=f"compare_a/{name}/seed_{seed}")
    write_run(0, fit.format("digits_mlp", " --data.train_size 9", 0) + ours, 0, 0.5, place="compare_a/wide/seed_0")
    write_run(1, f"{command} --ckpt_path last.ckpt", 1, 0.7, place="compare_a/mnist_cnn/seed_1")
    write_run(0, "litzoo fit --config configs/mnist_mlp.yaml --seed_everything 4", 4, 0.95)
    found = collect(Path("runs"))
    assert {name: [run["seed"] for run in runs] for name, runs in found.items()} == {
        "mnist_mlp": [4],
        "mnist_cnn": [0, 1],
    }
    resumed = found["mnist_cnn"][1]
    assert resumed["metrics"] == {"test/acc": 0.7}
    assert experiment_row("mnist_cnn", found["mnist_cnn"], None)[6] == "15, 9 s"
    assert experiment_row("mnist_cnn", [resumed], None)[6] == "15"


@pytest.mark.parametrize("program", ["litzoo", "__main__.py", "python -m litzoo.__main__"])
@pytest.mark.parametrize("config", ["configs/mnist_mlp.yaml", "mnist_mlp", "/usr/lib/litzoo/configs/mnist_mlp.yaml"])
def test_every_form_of_the_command_counts(program, config):
    earlier = [{"command": f"{program} fit --config {config} --seed_everything 0"}]
    write_run(0, f"{earlier[0]['command']} --ckpt_path last", 0, 0.5, earlier=earlier)
    found = collect(Path("runs"))
    assert list(found) == ["mnist_mlp"]
    assert "/usr/lib" not in str(found)


def test_the_table_of_segmentation_has_the_means_over_the_seeds():
    scores = {"test/mask_map_50": 0.9, "test/mask_map": 0.6, "test/map_50": 0.95, "test/map": 0.7}
    run = {"metrics": scores, "training_seconds": 100.4, "epochs": 60, "precision": "32-true"}
    run |= {"hardware": "a CPU", "date": "2026-01-02", "seed": 0, "primary_metric": "mask_map_50"}
    other = {**run, "metrics": {**scores, "test/mask_map_50": 0.8}, "seed": 1}
    cells = segmentation_row("shapes_maskrcnn", [run, other])
    assert cells[1:5] == ["**0.850 ± 0.071**", "0.600 ± 0.000", "0.950 ± 0.000", "0.700 ± 0.000"]
    assert cells[5:] == ["2", "60, 100 s", "32-true", "a CPU", "2026-01-02"]
    missing = segmentation_row("nuclei_maskrcnn", [])
    assert len(missing) == len(cells)
    assert missing[1] == "not measured"
    assert experiment_row("shapes_maskrcnn", [run], None)[3] == "**90.00 % mask AP50**"


def test_results_are_shown_beside_those_of_the_source():
    run = {"seed": 4, "epochs": 15, "training_seconds": 9.0, "date": "2026-01-02", "hardware": "x", "precision": "y"}
    runs = [run | {"metrics": {"test/acc": 0.5}, "primary_metric": "acc"}]
    rows = [
        experiment_row("mnist_cnn", runs, None),
        experiment_row("mnist_mlp", runs, None),
        experiment_row("cifar10_resnet18", [], None),
    ]
    linked = "[`mnist_cnn`](configs/mnist_cnn.yaml)"
    assert source_rows(rows) == [[linked, "98.9 %", "best", "**50.00 %**", "1", "15, 9 s", "x"]]


def test_an_experiment_that_only_a_comparison_has_measured_links_to_it():
    pages = {
        "a.md": "```bash\nlitzoo compare mnist_mlp --variant 'x: mnist_cnn_small'\n```\nand `mnist_cnn` in the text",
        "b.md": "litzoo open-set-splits mnist_cnn --write b.md",
    }
    assert compared_on("mnist_mlp", pages) == "[a.md](a.md)"
    assert compared_on("mnist_cnn", pages) == "[b.md](b.md)"
    assert compared_on("mnist", pages) == ""
    assert experiment_row("mnist_mlp", [], None, "[a.md](a.md)")[3] == "only in [a.md](a.md)"
    assert experiment_row("mnist_mlp", [], None)[3] == "not measured"
    assert experiment_row("image_folder", [], None)[3] == "for data of your own"
