"""Tries what could separate unknown classes better on Fashion-MNIST, on training images of known classes alone.

Usage: python -m litzoo.scripts.benchmarks.unknown.pilots [--splits 0 1] [--samples 12000] [--write]

Of the seven known classes of `fashion_mnist_unknown`, each pilot split leaves out three as unknown ones; the test set
and the other three classes have no part, so that what is chosen here is chosen on other splits. A small CNN is trained
with each variant. Results of other splits and variants stay in the file; finished ones are not repeated.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from litzoo.callbacks.unknown import Entropy, Mahalanobis, MaxLogit, NearestNeighbors
from litzoo.callbacks.unknown.metrics import auroc
from litzoo.callbacks.unknown.scores import Evidence
from litzoo.datamodules import FashionMNISTDataModule, MNISTDataModule
from litzoo.datamodules.transforms.policies import augmentation_of
from litzoo.lit_modules.mixed_precision import emulates_bf16
from litzoo.lit_modules.networks import CNN
from litzoo.scripts.benchmarks.harness import environment, format_environment, publish
from litzoo.scripts.tables import markdown_table, mean_and_std

NAME, DOCUMENT = "benchmark_unknown_pilots", Path("docs/unknown_classes.md")
CLASSES, KNOWN, HELD_OUT, BATCH, EPOCHS, WEIGHT = 7, 4, 2000, 128, 4, 0.5


def blended(images: Tensor, target: Tensor) -> Tensor:
    """Returns weighted means of two images of different classes."""
    partner = torch.randperm(len(images))
    weight = 0.3 + 0.4 * torch.rand(len(images), 1, 1, 1)
    return (weight * images + (1 - weight) * images[partner])[target != target[partner]]


def halves(images: Tensor, target: Tensor) -> Tensor:
    """Returns images whose one part is of one class and the other of another."""
    partner, cut = torch.randperm(len(images)), int(torch.randint(9, 20, ()))
    changed = images.clone()
    if torch.rand(()) < 0.5:
        changed[:, :, cut:] = images[partner][:, :, cut:]
    else:
        changed[..., cut:] = images[partner][..., cut:]
    return changed[target != target[partner]]


def shuffled(images: Tensor, target: Tensor) -> Tensor:
    """Returns images whose 16 pieces are in random order."""
    pieces = F.unfold(images, 7, stride=7)
    order = torch.rand(len(images), 1, pieces.shape[2]).argsort(dim=2).expand_as(pieces)
    return F.fold(pieces.gather(2, order), images.shape[2:], 7, stride=7)


def digits() -> Callable[[Tensor, Tensor], Tensor]:
    """Returns a function that draws images of MNIST."""
    others = MNISTDataModule().read(train=True)[0]
    assert isinstance(others, Tensor)
    return lambda images, target: others[torch.randint(0, len(others), (len(images),))].float()


def variants() -> dict[str, tuple[int, Callable[[Tensor, Tensor], Tensor] | None]]:
    """Returns for each variant its factor of epochs, and what makes outliers of a batch."""
    return {
        "label smoothing": (1, None),
        "outliers: shuffled pieces": (1, shuffled),
        "outliers: halves of two classes": (1, halves),
        "outliers: blends of two classes": (1, blended),
        "outliers: MNIST": (1, digits()),
        "twice as long": (2, None),
    }


def train(images: Tensor, target: Tensor, epochs: int, outliers: Any) -> CNN:
    """Trains a small CNN; with outliers, whose softmax is to be uniform (Hendrycks et al. 2019)."""
    net = CNN((1, 28, 28), KNOWN, [24, 48, 96], hidden=[128]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps + 1, pct_start=0.2)
    augment = augmentation_of("augment", "strong_flip", (1, 28, 28))
    for _ in range(epochs):
        for rows in torch.randperm(len(images))[: steps // epochs * BATCH].split(BATCH):
            inputs, labels = augment(images[rows]).float(), target[rows]
            if outliers is not None:
                inputs = torch.cat([inputs, outliers(inputs, labels)])
            with torch.autocast("cpu", torch.bfloat16, enabled=not emulates_bf16()):
                logits = net(normalised(inputs)).float()
            loss = F.cross_entropy(logits[: len(rows)], labels, label_smoothing=0.1)
            if outliers is not None:
                loss = loss - WEIGHT * logits[len(rows) :].log_softmax(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def normalised(images: Tensor) -> Tensor:
    """Returns images `[n, 1, 28, 28]` from 0 to 255 as the network reads them."""
    scaled = (images.float() / 255 - FashionMNISTDataModule.mean[0]) / FashionMNISTDataModule.std[0]
    return scaled.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def evidence_of(net: CNN, images: Tensor) -> tuple[Evidence, Tensor]:
    """Returns logits and features, and the mean of each channel after each stage, `[N, channels of all stages]`."""
    parts = []
    for batch in images.split(500):
        value, found = normalised(batch), []
        for layer in net.trunk:
            value = layer(value)
            if isinstance(layer, torch.nn.MaxPool2d):
                found.append(F.normalize(value.mean(dim=(2, 3)), dim=1))
        parts.append((net.head(value), value, torch.cat(found, dim=1)))
    logits, features, stages = map(torch.cat, zip(*parts, strict=True))
    return Evidence(logits, features), stages


def measure(split: int, samples: int, epochs: int, outliers: Any) -> dict[str, float]:
    """Trains on one pilot split; returns the AUROC of each score."""
    torch.manual_seed(split)
    images, labels = FashionMNISTDataModule().read(train=True)
    assert isinstance(images, Tensor)
    order = torch.from_numpy(np.random.RandomState(split).permutation(CLASSES))
    place = torch.full((10,), -1)
    place[order[:KNOWN].sort().values] = torch.arange(KNOWN)
    place[order[KNOWN:]] = -2
    shuffle = torch.randperm(len(images))
    images, target = images[shuffle], place[labels[shuffle]]
    known, unknown = images[target >= 0], images[target == -2][: HELD_OUT * 3 // 2]
    target = target[target >= 0]
    start = time.process_time()
    net = train(known[:samples], target[:samples], epochs, outliers)
    seconds = time.process_time() - start
    tested = torch.cat([known[samples : samples + HELD_OUT], unknown])
    is_unknown = torch.arange(len(tested)) >= HELD_OUT
    (fitted, fitted_stages), (evidence, stages) = evidence_of(net, known[:samples]), evidence_of(net, tested)
    right = evidence.logits[:HELD_OUT].argmax(dim=1) == target[samples : samples + HELD_OUT]
    found = {"acc": float(right.double().mean()), "seconds": seconds}
    for score in (MaxLogit(), Entropy(), NearestNeighbors(), Mahalanobis()):
        score.fit(fitted, target[:samples])
        found[type(score).__name__] = auroc(score(evidence), is_unknown)
    several = NearestNeighbors()
    several.fit(Evidence(fitted.logits, fitted_stages), target[:samples])
    found["NearestNeighbors, all stages"] = auroc(several(Evidence(evidence.logits, stages)), is_unknown)
    return found


def table(result: Mapping[str, Any]) -> str:
    """Formats the results, a row for each variant."""
    names = [name for name in next(iter(next(iter(result["variants"].values())).values())) if name != "seconds"]
    header = [
        "variant",
        "n",
        *("known acc, %" if name == "acc" else f"{name}, AUROC %" for name in names),
        "CPU seconds",
    ]
    rows = []
    for variant, runs in result["variants"].items():
        cells = [mean_and_std([100 * each[name] for each in runs.values()], 1) for name in names]
        seconds = mean_and_std([each["seconds"] for each in runs.values()], 0)
        rows.append([variant, str(len(runs)), *cells, seconds])
    return (
        f"{markdown_table(header, rows)}\n\nMean ± standard deviation over pilot splits of the known classes; "
        f"{result['samples']:,} images, {EPOCHS} epochs, a CNN of widths 24, 48, 96. {format_environment(result)}."
    )


def main(words: Sequence[str] | None = None) -> None:
    """Runs the pilots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--samples", type=int, default=12000)
    parser.add_argument("--write", action="store_true", help=f"write the table to {DOCUMENT}")
    options = parser.parse_args(words)
    path = DOCUMENT.parent / "results" / f"{NAME}.json"
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = earlier.get("variants", {}) if earlier.get("samples") == options.samples else {}
    for split in options.splits:
        for variant, (factor, outliers) in variants().items():
            if str(split) in found.get(variant, {}):
                continue
            found.setdefault(variant, {})[str(split)] = measure(split, options.samples, factor * EPOCHS, outliers)
            result = {**environment(), "samples": options.samples, "variants": found}
            print(table(result), flush=True)
            if options.write:
                publish(NAME, result, table(result), DOCUMENT)


if __name__ == "__main__":
    main()
