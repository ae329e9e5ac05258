"""The two tasks of docs/tasks.md, code and commands as printed, on files as the page describes them."""

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics import MetricCollection

from tests.scripts.helpers import CONFIGS, litzoo

PAGE = (CONFIGS.parent / "docs" / "tasks.md").read_text(encoding="utf-8")
CODE = {block.split("\n")[0][2:]: block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)}
COMMANDS = [
    [shlex.split(line)[1:] for line in block.replace("\\\n", "").splitlines()]
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
]


def train_and_predict(file, commands, size, monkeypatch):
    Path(file).write_text(CODE[file])
    monkeypatch.syspath_prepend(str(Path.cwd()))
    fit, predict = commands
    run = litzoo(*fit, "--trainer.max_epochs", "1", "--data.size", str(size))
    litzoo(*predict)
    return run


def test_photos_with_several_labels(monkeypatch):
    Path("photos").mkdir()
    rows = []
    for number in range(15):
        red, large = number % 2, number % 3
        photo = np.zeros((30, 40, 3), dtype=np.uint8)
        photo[: 10 + 8 * large, :20, 0 if red else 2] = 200
        Image.fromarray(photo).save(f"photos/{number}.jpg")
        labels = "|".join(["red"] * red + ["large"] * (large == 2))
        rows.append([f"{number}.jpg", labels, ("train", "train", "train", "val", "test")[number % 5]])
    with open("labels.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["file", "labels", "part"], *rows])
    run = train_and_predict("my_labels.py", COMMANDS[0], 32, monkeypatch)
    assert run.model.class_names == ["large", "red"]
    with (run.run_folder / "predictions.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [*found[0]] == ["index", "prediction/large", "prediction/red", "confidence/large", "confidence/red"]
    assert len(found) == 3
    targets = {row["index"]: row["target"].tolist() for row in run.datamodule.test_dataloader().dataset}
    assert targets == {0: [0, 0], 1: [0, 1], 2: [1, 0]}  # photos 4, 9 and 14
    # Batches of one photo whose logits all lie in [0, 1]: torchmetrics would take them for probabilities.
    metrics = MetricCollection(run.model.metrics("test"), compute_groups=False)
    target = torch.tensor([[1, 0], [1, 1], [0, 1]])
    for number, logits in enumerate(torch.tensor([[0.3, 0.4], [0.2, 0.9], [-1.0, 2.0]])):
        outputs = {"loss": torch.zeros(()), "logits": logits[None], "target": target[[number]], "index": [number]}
        run.model.update_metrics(metrics, outputs)
    assert float(metrics["f1"].compute()) == pytest.approx((1.0 + 4 / 5) / 2)


def test_photos_with_masks(monkeypatch):
    for kind in ("images", "masks"):
        Path("cells", kind).mkdir(parents=True)
    for number in range(20):
        mask = np.zeros((40, 50), dtype=np.uint8)
        mask[5 + number : 15 + number, 10:30] = 1
        Image.fromarray(mask).save(f"cells/masks/{number:02}.png")
        Image.fromarray(60 + 120 * mask).save(f"cells/images/{number:02}.jpg")
    run = train_and_predict("my_masks.py", COMMANDS[1], 48, monkeypatch)
    sample = run.datamodule.train_dataloader().dataset[0]  # file 02
    inside = sample["input"].mean(dim=0) > 0.5
    assert (inside == sample["target"].bool()).float().mean() > 0.95  # flipped alike
    masks = sorted((run.run_folder / "masks").iterdir())
    assert [mask.name for mask in masks] == ["00.png", "05.png", "10.png", "15.png"]
    predicted = torch.stack([torch.from_numpy(np.asarray(Image.open(mask))) for mask in masks])
    assert predicted.shape == (4, 48, 48)
    target = torch.stack([row["target"] for row in run.datamodule.test_dataloader().dataset])
    both = torch.stack([((predicted == k) & (target == k)).sum(dim=(1, 2)) for k in (0, 1)], dim=1)
    either = torch.stack([((predicted == k) | (target == k)).sum(dim=(1, 2)) for k in (0, 1)], dim=1)
    assert json.loads((run.run_folder / "metrics.json").read_text())["test/iou"] == pytest.approx(
        float((both / either).mean()), rel=1e-4
    )
