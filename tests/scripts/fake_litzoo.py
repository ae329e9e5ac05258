"""A stand-in for `litzoo` in tests of the commands that start it: no training, no torch, milliseconds.

It copies the folder `template` into a new run folder, and reads the test results from `scores.json`: variant -> seed ->
accuracy, or all metrics, of the best and of the last epoch. `orders.json` can make it fail, hang or exit early.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path


def value_of(option):
    return sys.argv[sys.argv.index(option) + 1] if option in sys.argv else None


def log_call(**facts):
    with Path("calls.jsonl").open("a") as calls:
        calls.write(json.dumps({"arguments": sys.argv[1:], "pid": os.getpid(), **facts}) + "\n")


def write_json(path, content):
    """Writes a file atomically, as `litzoo` does."""
    path.with_suffix(".part").write_text(json.dumps(content))
    path.with_suffix(".part").replace(path)


def tested(folder, epoch):
    score = json.loads(Path("scores.json").read_text())[folder.parts[-3]][folder.parts[-2]][epoch]
    if isinstance(score, dict):
        return score
    return {"test/acc": score, "test/balanced_acc": (score + 1) / 2, "test/acc/0": score, "test/acc/1": 1.0}


def main():
    log_call(threads=os.environ["OMP_NUM_THREADS"])
    checkpoint = value_of("--ckpt_path")
    if checkpoint:
        folder = Path(checkpoint).parents[1]
    else:
        place = Path(value_of("--trainer.default_root_dir"), value_of("--experiment"))
        folder = place / f"version_{len(list(place.glob('version_*')))}"
        shutil.copytree("template", place / "new")
        (place / "new").rename(folder)
    orders = Path("orders.json")
    order = (json.loads(orders.read_text()) if orders.exists() else {}).get("/".join(folder.parts[-3:-1]))
    if order == "fail":
        print("trained a little\nlitzoo: error: train/loss is nan\nchoose a smaller learning rate", file=sys.stderr)
        sys.exit(1)
    if order == "hang":
        time.sleep(300)
    if sys.argv[1] == "fit":
        facts = {"command": " ".join(sys.argv), "seed": int(value_of("--seed_everything"))}
        write_json(folder / "run.json", json.loads(Path("template/run.json").read_text()) | facts)
        if order == "untested":
            write_json(folder / "metrics.json", {"val/acc": 0.5})
        if order in ("untested", "interrupted"):
            sys.exit(3)
    of_last = sys.argv[1] == "test" and Path(checkpoint).name == "last.ckpt"
    name = "metrics_last.json" if of_last else "metrics.json"
    write_json(folder / name, {"val/acc": 0.5, **tested(folder, int(of_last))})


main()
