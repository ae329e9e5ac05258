"""Which runs a comparison trains, resumes and stops."""

import json
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from litzoo.scripts.compare import queue as compare_queue
from litzoo.scripts.compare.command import compare, main
from litzoo.scripts.compare.queue import interrupt_on_termination
from tests.scripts.compare.stand_in import EVERY, OPTIONS, SCORES, calls, set_orders, stand_in  # noqa: F401 (a fixture)
from tests.scripts.ended import end_by_signal, handlers_put_back


@pytest.mark.parametrize(("epoch", "steps"), [("best", ["fit"]), ("last", ["fit", "test last"])])
def test_each_variant_is_trained_once_with_each_seed(epoch, steps, capsys):
    compare([*OPTIONS, "--epoch", epoch, "--jobs", "2"])
    assert calls() == {run: list(steps) for run in EVERY}
    first = capsys.readouterr().out
    compare([*OPTIONS, "--epoch", epoch])
    assert calls() == {}
    again = capsys.readouterr().out
    assert "2 runs at a time" in first  # how they were trained, whatever is asked now
    assert first[first.index("┏") :] == again[again.index("┏") :]
    assert again.count("already finished") == 4


def test_another_epoch_needs_a_test_but_no_training():
    compare([*OPTIONS, "--epoch", "best"])
    calls()
    compare([*OPTIONS, "--epoch", "last"])
    assert calls() == {run: ["test last"] for run in EVERY}


@pytest.mark.parametrize(
    ("text", "options", "trained"),
    [
        ("model: {loss: other}\n", [], ["ce/seed_0", "ce/seed_1"]),
        ("# a comment\nmodel:\n  loss: ce\n", [], []),
        ("model: {loss: ce}\n", ["--common", "--data.train_size=10"], EVERY),
        ("model: {loss: ce}\n", ["--seeds", "0", "1", "2"], ["ce/seed_2", "gce/seed_2"]),
    ],
    ids=["config", "comment", "option", "seed"],
)
def test_changed_variants_are_trained_again(text, options, trained, capsys):
    Path("scores.json").write_text(json.dumps({name: {**seeds, "seed_2": [0, 0]} for name, seeds in SCORES.items()}))
    compare([*OPTIONS, "--epoch", "best"])
    calls()
    Path("ce.yaml").write_text(text)
    compare([*OPTIONS, *options, "--epoch", "best"])
    assert calls() == {run: ["fit"] for run in trained}
    said = [line for line in capsys.readouterr().out.splitlines() if line.endswith("; it is trained again")]
    before = [run for run in trained if not run.endswith("seed_2")]
    assert {line.split(":")[0] for line in said} == {run.replace("/seed_", ", seed ") for run in before}
    change = "train_size=10'" if options else "with another content of "
    assert all(change in line for line in said)
    compare([*OPTIONS, *options, "--epoch", "best"])
    assert calls() == {}
    assert "trained again" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("left", "steps"),
    [
        ("interrupted", ["fit last", "test last"]),
        ("broken", ["fit", "test last"]),
        ("untested", ["test best", "test last"]),
        ("fail", ["fit last", "test last"]),
    ],
)
def test_an_unfinished_run_is_resumed(left, steps):
    set_orders(ce_seed_1="interrupted" if left == "broken" else left)
    with pytest.raises(SystemExit):
        compare(OPTIONS)
    calls()
    set_orders()
    folder = Path("runs/compare_noise/ce/seed_1")
    if left == "broken":
        (folder / "version_0/checkpoints/last.ckpt").write_bytes(b"half")
    compare(OPTIONS)
    assert calls() == {"ce/seed_1": steps}
    assert (folder / f"version_{int(left == 'broken')}" / "metrics_last.json").is_file()


def test_seed_in_options_is_replaced_by_the_seed_of_the_run():
    compare([*OPTIONS[1:], "--variant", "ce: --model.teacher ce/seed_{seed}", "--epoch", "best"])
    words = [json.loads(line)["arguments"] for line in Path("calls.jsonl").read_text().splitlines()]
    assert [each[each.index("--model.teacher") + 1] for each in words] == ["ce/seed_0", "ce/seed_1"]
    assert [each[each.index("--seed_everything") + 1] for each in words] == ["0", "1"]


def test_an_unknown_metric_stops_all_runs_once_the_first_is_finished():
    set_orders(gce_seed_0="hang")
    with pytest.raises(ValueError, match=r"test/accuracy.* test/acc, test/balanced_acc.* test/acc/0"):
        compare([*OPTIONS, "--metric", "test/accuracy", "--jobs", "2"])
    assert {run for run in calls() if run.endswith("seed_1")} == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_processes_and_the_message_says_how_to_resume(number, capsys):
    set_orders(ce_seed_0="hang", gce_seed_0="hang")
    assert end_by_signal(number, main, [*OPTIONS, "--jobs", "2"], trainings=2) == 130
    assert "same command again to resume" in capsys.readouterr().err


def test_sighup_is_ignored_under_nohup():
    with handlers_put_back():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        interrupt_on_termination()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert callable(signal.getsignal(signal.SIGTERM))


def test_a_comparison_is_refused_while_another_process_runs_it(monkeypatch):
    def start_another(_):
        compare(OPTIONS)

    set_orders(ce_seed_0="hang")
    monkeypatch.setattr(compare_queue, "time", SimpleNamespace(sleep=start_another))
    with pytest.raises(ValueError, match="runs/compare_noise: another comparison"):
        compare(OPTIONS)


def test_one_run_of_a_comparison_is_trained_and_the_comparison_finds_it(capsys):
    compare([*OPTIONS, "--run", "1"])
    assert calls() == {"gce/seed_0": ["fit", "test last"]}
    assert "┏" not in capsys.readouterr().out
    assert not Path("runs/compare_noise/results.md").exists()
    compare(OPTIONS)
    assert set(calls()) == {run for run in EVERY if run != "gce/seed_0"}
    results = Path("runs/compare_noise/results.md")
    assert "torch 2, each run by a command of its own, one run at a time, 2026" in results.read_text()
    compare([*OPTIONS, "--jobs", "2"])  # trains nothing
    assert "torch 2, each run by a command of its own, one run at a time, 2026" in results.read_text()


@pytest.mark.parametrize("number", ["-1", "4"])
def test_a_run_that_there_is_not_is_refused(number):
    with pytest.raises(ValueError, match=f"--run {number}: this comparison has the runs 0 to 3"):
        compare([*OPTIONS, f"--run={number}"])
    assert not Path("runs").exists()


def test_one_run_that_fails_exits_with_an_error(capsys):
    set_orders(gce_seed_0="fail")
    with pytest.raises(SystemExit):
        compare([*OPTIONS, "--run", "1"])
    assert "1 of 1 runs failed: gce, seed 0" in capsys.readouterr().err


def test_single_runs_go_beside_each_other_but_not_twice_and_not_beside_the_comparison(monkeypatch):
    refused = []

    def start_others(_):
        monkeypatch.setattr(compare_queue, "time", time)
        compare([*OPTIONS, "--run", "3"])
        for words in (["--run", "0"], []):
            with pytest.raises(ValueError, match="another comparison, or a training that it started") as error:
                compare([*OPTIONS, *words])
            refused.append(str(error.value).split(":")[0])
        raise KeyboardInterrupt

    set_orders(ce_seed_0="hang")
    monkeypatch.setattr(compare_queue, "time", SimpleNamespace(sleep=start_others))
    with pytest.raises(KeyboardInterrupt):
        compare([*OPTIONS, "--run", "0"])
    assert refused == ["runs/compare_noise/ce/seed_0", "runs/compare_noise"]
    assert set(calls()) == {"ce/seed_0", "gce/seed_1"}


def test_parallel_processes_divide_the_cores(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    compare([*OPTIONS, "--epoch", "best", "--jobs", "3"])
    threads = {json.loads(line)["threads"] for line in Path("calls.jsonl").read_text().splitlines()}
    assert threads == {"2"}
