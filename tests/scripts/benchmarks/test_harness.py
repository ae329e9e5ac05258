import json
import sys
from pathlib import Path

import pytest

from litzoo.scripts.benchmarks import harness
from litzoo.scripts.benchmarks.harness import run_benchmark

DOCUMENT = Path("docs/performance.md")


def run(options, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmark", *options])
    run_benchmark(
        "mine",
        "Measures.",
        5,
        lambda arguments: {"seconds": [arguments.rounds]},
        lambda result: f"{result['seconds']} s",
    )


@pytest.mark.parametrize(("options", "rounds"), [([], 5), (["--rounds", "2"], 2)])
def test_a_benchmark_is_printed_and_with_write_published(options, rounds, monkeypatch, capsys):
    DOCUMENT.parent.mkdir()
    DOCUMENT.write_text("<!-- mine -->\n<!-- /mine -->\n")
    monkeypatch.setattr(harness.publish, "__defaults__", (DOCUMENT,))
    run(options, monkeypatch)
    assert capsys.readouterr().out == f"[{rounds}] s\n"
    assert DOCUMENT.read_text() == "<!-- mine -->\n<!-- /mine -->\n"
    run([*options, "--write"], monkeypatch)
    assert f"[{rounds}] s" in DOCUMENT.read_text()
    result = json.loads(Path("docs/results/mine.json").read_text())
    assert (result["rounds"], result["seconds"]) == (rounds, [rounds])
    assert {"hardware", "torch"} <= result.keys()


def test_fewer_than_two_rounds_are_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(["--rounds", "1"], monkeypatch)
    assert "--rounds: 1: takes a number, at least 2, for quartiles" in capsys.readouterr().err
