import json
import sys
from pathlib import Path

import pytest

from litzoo.scripts.benchmarks import killed_training
from litzoo.scripts.benchmarks import kills as benchmark_kills
from litzoo.scripts.benchmarks.killed_training import KilledTraining, Moment, Place, moments, read_places
from litzoo.scripts.benchmarks.kills import measure, table
from tests.counted import count
from tests.scripts.helpers import MLP

ROOT = Path(__file__).parents[3]
DIGITS = [*MLP, "--trainer.max_epochs=5", "--trainer.limit_train_batches=5", "--trainer.accelerator=cpu"]
DIGITS += ["--test_after_fit=false", "--trainer.callbacks+=tests.scripts.helpers.Dawdles"]


@pytest.mark.slow
def test_a_training_killed_twice_ends_as_one_that_was_not(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    result = measure(DIGITS, kills=2, seed=13)
    assert result["equal"]
    assert len(result["kills"]) == 2
    assert result["metrics"][0]["val/acc"] == result["metrics"][1]["val/acc"]
    count("kills survived", 2)


def test_moments_lie_between_the_first_checkpoint_and_the_end():
    places = [Place(10 + epoch + fraction / 100, epoch, f"{fraction} %") for epoch in range(4) for fraction in (0, 50)]
    places += [Place(14.0, 4, "end"), Place(14.5, 4, "test"), Place(16.0, 4, "tested")]
    drawn = moments(places, count=500, seed=0)
    times = [moment.place.time + moment.seconds for moment in drawn]
    assert times == sorted(times)
    assert all(11.0 <= time <= 16.0 for time in times)
    assert all(moment.seconds <= 0.5 or moment.place.what == "test" for moment in drawn)
    assert all(sum(moment.place.epoch == epoch for moment in drawn) > 60 for epoch in (1, 2, 3))
    assert sum(moment.place.epoch == 4 for moment in drawn) > 120  # lasts twice as long
    assert moments(places, 5, seed=1) == moments(places, 5, seed=1) != moments(places, 5, seed=2)


def test_notes_of_a_killed_process_are_read_up_to_the_last_whole_line():
    Path("notes.txt").write_text("1.5 0 50 %\n2.5 1 validation\n3.5 1 chec")
    assert read_places(Path("notes.txt")) == [Place(1.5, 0, "50 %"), Place(2.5, 1, "validation")]
    assert read_places(Path("notes.txt"), start=11) == [Place(2.5, 1, "validation")]
    assert read_places(Path("none.txt")) == []


def test_a_moment_begins_where_the_training_was_first_at_its_place_or_beyond():
    moment = Moment(Place(9.0, 2, "validation"), 0.1)
    lives = [Place(1.0, 1, "validation"), Place(2.0, 2, "0 %"), Place(3.0, 2, "validation"), Place(4.0, 3, "0 %")]
    assert [moment.since(lives[:seen]) for seen in range(5)] == [None, None, None, 3.0, 3.0]
    assert moment.since(lives[3:]) == 4.0  # resumed after the epoch


NOTES = """
import sys, time
from pathlib import Path
notes = Path(sys.argv[-1].split("path: ")[-1].split("}")[0])
print(*sys.argv, sep=" ", file=notes.with_name("calls.txt").open("a"))
(notes.parent / "run" / "version_0" / "checkpoints").mkdir(parents=True, exist_ok=True)
for epoch in range(3):
    print(time.time(), epoch, "0 %", file=notes.open("a"))
    time.sleep(0.2)
sys.exit({status})
"""


def at(epoch, seconds):
    return Moment(Place(0.0, epoch, "0 %"), seconds)


@pytest.mark.parametrize(("until", "epoch"), [(at(1, 0.05), 1), (at(1, 0.3), 2), (at(5, 0.0), None), (None, None)])
def test_a_life_ends_at_its_moment_or_by_itself(until, epoch, monkeypatch):
    """Processes that train nothing note epochs of a fifth of a second."""
    Path("stand_in.py").write_text(NOTES.replace("{status}", "0"))
    monkeypatch.setattr(killed_training, "LITZOO", [sys.executable, "stand_in.py"])
    training = KilledTraining(Path.cwd(), [])
    hit = training.live(until)
    assert (hit and hit.epoch) == epoch


@pytest.mark.parametrize(("end", "status"), [("sys.exit(1)", 1), ("os.kill(os.getpid(), 9)", -9)])
def test_a_training_that_fails_is_told(end, status, monkeypatch):
    Path("stand_in.py").write_text(f"import os, sys\nprint('no such thing', flush=True)\n{end}")
    monkeypatch.setattr(killed_training, "LITZOO", [sys.executable, "stand_in.py"])
    with pytest.raises(RuntimeError, match=rf"exit status {status}\):\nno such thing"):
        KilledTraining(Path.cwd(), []).live()


def test_what_is_measured_is_written_between_its_marks(monkeypatch, capsys):
    metrics = [{"epoch": 1, "val/acc": 0.5}] * 2
    asked = []

    def measured(options, kills, seed):
        asked.append((options, kills, seed))
        return {"kills": ["epoch 1, 40 %"], "metrics": metrics, "equal": True}

    Path("docs").mkdir()
    Path("docs/reliability.md").write_text("before\n<!-- kills -->\nold\n<!-- /kills -->\nafter\n")
    monkeypatch.setattr(benchmark_kills, "measure", measured)
    monkeypatch.setattr(sys, "argv", ["", "--config", "configs/a.yaml", "--epochs", "3", "--kills", "1", "--write"])
    benchmark_kills.main()
    written = Path("docs/reliability.md").read_text()
    assert capsys.readouterr().out.strip() in written
    assert "`a`, 3 epochs" in written
    assert "old" not in written
    assert json.loads(Path("docs/results/kills.json").read_text())["metrics"] == metrics
    options = ["--config", "configs/a.yaml", "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu"]
    assert asked == [(options, 1, 0)]


def test_the_table_says_where_kills_hit_and_whether_all_is_equal():
    result = {
        **{"hardware": "a CPU", "torch": "2.9", "threads": 1, "date": "2026-01-01", "config": "digits", "epochs": 3},
        "kills": ["epoch 1, 40 %", "epoch 2, validation"],
        "metrics": [{"epoch": 2, "val/acc": 0.5, "train/acc": 0.1}, {"epoch": 2, "val/acc": 0.25, "train/acc": 0.1}],
        "equal": False,
    }
    text = table(result)
    assert "| `val/acc` | 0.5 | 0.25 |" in text
    assert "killed 2 times |" in text
    assert "epoch 1, 40 %; epoch 2, validation." in text
    assert "**not equal**" in text
    assert "equal to the bit" in table({**result, "equal": True})
