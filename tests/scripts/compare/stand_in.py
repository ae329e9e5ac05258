"""A stand-in for `litzoo` that trains nothing: what a comparison starts, resumes and writes is tested with it."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from litzoo.scripts.compare import queue as compare_queue

REAL = compare_queue.LITZOO
SCORES = {
    "ce": {"seed_0": [0.90, 0.80], "seed_1": [0.92, 0.84]},
    "gce": {"seed_0": [0.95, 0.93], "seed_1": [0.96, 0.95]},
}
OPTIONS = ["ce.yaml", "gce.yaml", "--seeds", "0", "1", "--name", "noise"]
EVERY = [f"{variant}/{seed}" for variant in SCORES for seed in SCORES[variant]]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """Two configs, and a stand-in for `litzoo` that trains nothing."""
    monkeypatch.setattr(compare_queue, "LITZOO", [sys.executable, str(Path(__file__).parents[1] / "fake_litzoo.py")])
    monkeypatch.setattr(compare_queue, "POLL_SECONDS", 0.02)
    for name in ("ce", "gce"):
        Path(f"{name}.yaml").write_text(f"model: {{loss: {name}}}\n")
    Path("scores.json").write_text(json.dumps(SCORES))
    template = Path("template")
    (template / "checkpoints").mkdir(parents=True)
    for name in ("best", "last"):
        torch.save({"state_dict": {}, "pytorch-lightning_version": "2"}, template / "checkpoints" / f"{name}.ckpt")
    (template / "config.yaml").write_text("trainer: {max_epochs: 2}\n")
    facts = {"training_seconds": 30, "epochs": 1, "hardware": "a box", "precision": "32-true", "torch": "2"}
    (template / "run.json").write_text(
        json.dumps({"command": "", "seed": 0, "date": "2026-01-02", "primary_metric": "acc", **facts})
    )
    with SummaryWriter(str(template)) as board:
        for epoch in range(2):
            board.add_scalar("val/acc", 0.5 + epoch / 4, 10 * epoch)
            board.add_scalar("train/suspects/precision", epoch / 4, 10 * epoch)
            board.add_scalar("train/lr", 0.1, 10 * epoch + 1)
            board.add_scalar("epoch", epoch, 10 * epoch)


def use_the_real_command(monkeypatch):
    """Starts `litzoo` itself from here on."""
    monkeypatch.setattr(compare_queue, "LITZOO", REAL)


def set_orders(**orders):
    """Tells the stand-in what to do in which run."""
    Path("orders.json").write_text(
        json.dumps({name.replace("_seed", "/seed"): order for name, order in orders.items()})
    )


def calls():
    """Returns the commands since the last call of this, as sub-command and checkpoint: variant/seed -> commands."""
    path = Path("calls.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    path.unlink(missing_ok=True)
    found: dict[str, list[str]] = {}
    for line in lines:
        words = line["arguments"]
        place = next(word for word in words if "compare_noise/" in word).split("compare_noise/")[1]
        checkpoint = [Path(words[words.index("--ckpt_path") + 1]).stem] if "--ckpt_path" in words else []
        found.setdefault("/".join(place.split("/")[:2]), []).append(" ".join([words[0], *checkpoint]))
    return found
