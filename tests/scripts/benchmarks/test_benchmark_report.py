import json
import sys
from pathlib import Path

import pytest

from litzoo.scripts.benchmarks import report as benchmark_report
from litzoo.scripts.benchmarks.report import run_in_rounds

DOCUMENT = Path("docs/performance.md")


def bench(options, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmark", *options])
    run_in_rounds("mine", "Measures.", 5, lambda rounds: {"seconds": [rounds]}, lambda result: f"{result['seconds']} s")


@pytest.mark.parametrize(("options", "rounds"), [([], 5), (["--rounds", "2"], 2)])
def test_a_benchmark_is_printed_and_written_if_asked(options, rounds, monkeypatch, capsys):
    DOCUMENT.parent.mkdir()
    DOCUMENT.write_text("<!-- mine -->\n<!-- /mine -->\n")
    monkeypatch.setattr(benchmark_report.publish, "__defaults__", (DOCUMENT,))
    bench(options, monkeypatch)
    assert capsys.readouterr().out == f"[{rounds}] s\n"
    assert DOCUMENT.read_text() == "<!-- mine -->\n<!-- /mine -->\n"
    bench([*options, "--write"], monkeypatch)
    assert f"[{rounds}] s" in DOCUMENT.read_text()
    result = json.loads(Path("docs/results/mine.json").read_text())
    assert (result["rounds"], result["seconds"]) == (rounds, [rounds])
    assert {"hardware", "torch"} <= result.keys()


def test_fewer_rounds_than_two_are_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        bench(["--rounds", "1"], monkeypatch)
    assert "--rounds: 1: takes a number, at least 2, for quartiles" in capsys.readouterr().err
