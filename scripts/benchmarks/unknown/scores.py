r"""Compares unknown-class scores on the same networks, each of which is trained once.

Usage: python -m litzoo.scripts.benchmarks.unknown.scores CONFIG [--seeds 0] [--common "OPTIONS"]
           [--variant NAME "OPTIONS"] ... [--far MNISTDataModule FashionMNISTDataModule] [--write]

Trains a config (with an UnknownClassDetector), or variants of it, and evaluates every score, fitted on the training
samples and calibrated on the calibration samples, on its test set with unknown classes. It also measures what scores of
logits are made of: the norm of the features, and the cosine between them and the weights of the likeliest class.
`--far` names data sets that have nothing to do with the known classes: how well the scores tell their test images,
resized and with as many channels, from known test samples.
Finished trainings in `runs/unknown_scores/` are reused; results of other variants and seeds stay in the file.
"""

import argparse
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from litzoo import datamodules
from litzoo.callbacks.calibration.part import calibration_part
from litzoo.callbacks.unknown import UnknownDetection, scores
from litzoo.callbacks.unknown.metrics import auroc, false_positive_rate
from litzoo.callbacks.unknown.scores import Evidence, Mahalanobis, MaxLogit, UnknownScore, ViM
from litzoo.scripts.benchmarks.harness import environment, format_environment, publish
from litzoo.scripts.cli.main import run
from litzoo.scripts.predict import Predictor
from litzoo.scripts.tables import markdown_table, mean_and_std

NAME, RUNS = "benchmark_unknown_scores", Path("runs/unknown_scores")
DOCUMENT = Path("docs/unknown_classes.md")


def compared_scores(width: int) -> dict[str, UnknownScore]:
    """Returns all scores with their defaults, and with the earlier ones, for D features."""
    found: dict[str, UnknownScore] = {}
    for name in scores.__all__:
        owner = getattr(scores, name)
        if issubclass(owner, UnknownScore) and owner is not UnknownScore:
            found[f"`{name}`"] = owner()
    dimension = 1000 if width >= 2048 else 512 if width >= 768 else width // 2
    return {
        **found,
        "`Mahalanobis`, shrinkage 0": Mahalanobis(0),
        f"`ViM`, dimension {dimension} of {width}": ViM(dimension),
    }


def trained(config: str, variant: str, options: Sequence[str], seed: int) -> tuple[Predictor, Any]:
    """Trains, unless it was trained before; returns the best checkpoint and its data."""
    folder = RUNS / config / variant / f"seed_{seed}"
    words = ["fit", f"--config={config}", f"--seed_everything={seed}", *options]
    detector = [
        {"class_path": "UnknownClassDetector", "init_args": {"score": {"class_path": "MaxLogit"}, "report": []}}
    ]
    words += [f"--trainer.callbacks={json.dumps(detector)}"]  # reserves calibration samples; scores are fitted below
    words += [f"--trainer.default_root_dir={folder}", "--trainer.enable_progress_bar=false", "--test_after_fit=false"]
    found = sorted(folder.rglob("best.ckpt"))
    finished = [path for path in found if (path.parents[1] / "finished").exists()]
    if finished:
        words += ["--trainer.fast_dev_run=true"]  # sets up the data only
    cli = run(words)
    path = finished[-1] if finished else cli.run_folder / "checkpoints" / "best.ckpt"
    (path.parents[1] / "finished").touch()
    cli.datamodule.setup("fit")
    cli.datamodule.setup("test")
    return Predictor.load(path, device="cpu"), cli.datamodule


def outputs_of(predictor: Predictor, dataset: Any) -> tuple[Evidence, Tensor]:
    """Returns logits and features of all samples of a part, as a test computes them, and their targets."""
    module: Any = predictor.module
    module.keeps_features = True
    parts = []
    for indices in dataset.indices.split(500):
        with torch.inference_mode():
            images = predictor.preparation.as_input(dataset.inputs[indices])  # type: ignore[union-attr]
            extra, logits = module.features_and_logits(images, test_time=True)
            parts.append((logits.float(), extra["features"]))
    logits, features = map(torch.cat, zip(*parts, strict=True))
    return Evidence(logits, features), dataset.targets[dataset.indices]


def far_outputs(predictor: Predictor, name: str, shape: Sequence[int]) -> Evidence:
    """Returns logits and features of the test images of another data set, made `shape`, `(C, H, W)`."""
    far = getattr(datamodules, name)()
    far.prepare_data()
    far.setup("test")
    images = resize(far.test_set.inputs[far.test_set.indices], list(shape[1:])).expand(-1, shape[0], -1, -1)
    indices = torch.arange(len(images))
    return outputs_of(predictor, SimpleNamespace(inputs=images, indices=indices, targets=indices))[0]


def measure(predictor: Predictor, data: Any, far: Sequence[str] = ()) -> dict[str, Any]:
    """Returns what is measured on the test set: score -> metric -> value, and the parts of the logits."""
    head: Any = predictor.module.net.head  # type: ignore[union-attr]
    known, target = outputs_of(predictor, data.train_set)
    calibration, _ = outputs_of(predictor, calibration_part(data)[1])
    test, truth = outputs_of(predictor, data.test_set)
    unknown, rows = truth < 0, {}
    shape = data.test_set.inputs.shape[1:]
    far_images = {name.removesuffix("DataModule"): far_outputs(predictor, name, shape) for name in far}
    for name, score in compared_scores(known.features.shape[1]).items():
        try:
            detection = UnknownDetection(score).fit(known, target, head).calibrate(calibration)
        except ValueError as error:  # such as a dimension that is not below the rank of the features
            print(f"{name} is left out: {error}")
            continue
        values = score(test)
        rejected = values > detection.threshold
        rows[name] = {
            "auroc": auroc(values, unknown),
            "fpr95_known_positive": false_positive_rate(values, unknown),
            "found": float(rejected[unknown].double().mean()),
            "accepted": float((~rejected)[~unknown].double().mean()),
            "far": {name: auroc_between(values[~unknown], score(images)) for name, images in far_images.items()},
        }
    right = (test.logits.argmax(dim=1) == truth)[~unknown].double().mean()
    return {"scores": rows, "acc": float(right), **logit_parts(test, unknown, head), "training": len(target)}


def auroc_between(known: Tensor, unknown: Tensor) -> float:
    """Returns the AUROC of scores of known samples `[N]` and of unknown ones `[M]`."""
    return auroc(torch.cat([known, unknown]), torch.arange(len(known) + len(unknown)) >= len(known))


def logit_parts(test: Evidence, unknown: Tensor, head: torch.nn.Linear) -> dict[str, float]:
    """Returns how well the largest logit, the norm of the features and the cosine separate unknown samples.

    A logit is ‖features‖ · ‖weight‖ · cosine + bias.
    """
    norm = test.features.double().norm(dim=1)
    cosine = torch.nn.functional.cosine_similarity(
        test.features.double(), head.weight.detach().double()[test.logits.argmax(dim=1)]
    )
    return {
        "logit_auroc": auroc(MaxLogit()(test), unknown),
        "norm_auroc": auroc(-norm, unknown),
        "cosine_auroc": auroc(-cosine, unknown),
        "known_norm": float(norm[~unknown].mean()),
        "unknown_norm": float(norm[unknown].mean()),
        "known_norm_spread": float(norm[~unknown].std() / norm[~unknown].mean()),
    }


def table(result: Mapping[str, Any]) -> str:
    """Formats the results: a table of scores and one of logits, a column and a row for each variant."""
    variants: dict[str, list[dict[str, Any]]] = {name: list(runs.values()) for name, runs in result["variants"].items()}
    names = list(dict.fromkeys(name for runs in variants.values() for name in runs[0]["scores"]))

    def cell(runs: Sequence[Mapping[str, Any]], *path: str) -> str:
        values = []
        for each in runs:
            value: Any = each
            for key in path:
                value = value.get(key, {})
            if isinstance(value, float):
                values.append(100 * value)
        return mean_and_std(values, 1) if values else ""

    header = ["AUROC of score, % (unknown found, %)", *(f"{name}, n = {len(runs)}" for name, runs in variants.items())]
    rows = [
        [
            name,
            *(
                f"{cell(runs, 'scores', name, 'auroc')} ({cell(runs, 'scores', name, 'found')})"
                for runs in variants.values()
            ),
        ]
        for name in names
    ]
    rows = [[each if each != " ()" else "" for each in row] for row in rows]
    pairs = [
        (variant, name) for variant, runs in variants.items() for name in runs[0]["scores"][names[0]].get("far", {})
    ]
    far = [
        [score, *(cell(variants[variant], "scores", score, "far", name) for variant, name in pairs)] for score in names
    ]
    far = [row for row in far if any(row[1:])]
    columns = [f"{variant} against {name}" for variant, name in pairs]
    far_table = f"{markdown_table(['AUROC of score on far data, %', *columns], far)}\n\n" if far else ""
    parts = ["logit_auroc", "norm_auroc", "cosine_auroc"]
    second = [
        [
            name,
            *(cell(runs, part) for part in parts),
            *(mean_and_std([each[norm] for each in runs], 1) for norm in ("known_norm", "unknown_norm")),
            cell(runs, "known_norm_spread"),
            cell(runs, "acc"),
        ]
        for name, runs in variants.items()
    ]
    names_of_parts = [
        "",
        "largest logit, AUROC %",
        "norm alone",
        "cosine alone",
        "known norm",
        "unknown norm",
        "std of known norm, %",
        "known acc, %",
    ]
    sizes = "; ".join(
        f"{name}: {runs[0]['training']:,} images, {runs[0]['options']}" for name, runs in variants.items()
    )
    found = "Found: at the threshold that accepts 95 % of calibration samples."
    caption = f"Test set, the epoch that the config chooses. {sizes}. {format_environment(result)}."
    logits = markdown_table(names_of_parts, second)
    return f"{markdown_table(header, rows)}\n\n{found}\n\n{far_table}{logits}\n\n{caption}"


def main(words: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="name of a shipped config")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--common", default="", metavar='"OPTIONS"', help="options of `litzoo fit` for all variants")
    parser.add_argument("--variant", nargs=2, action="append", metavar=("NAME", "OPTIONS"), help="may be repeated")
    parser.add_argument("--far", nargs="+", default=[], metavar="DATAMODULE", help="data sets of images to tell apart")
    parser.add_argument("--write", action="store_true", help=f"write the tables to {DOCUMENT}")
    options = parser.parse_args(words)
    path = DOCUMENT.parent / "results" / f"{NAME}.json"
    found = json.loads(path.read_text(encoding="utf-8"))["variants"] if path.exists() else {}
    for variant, more in options.variant or [(options.config, "")]:
        given = f"{options.common} {more}".strip()
        for seed in options.seeds:
            values = measure(*trained(options.config, variant, shlex.split(given), seed), options.far)
            values["options"] = f"`{options.config}{f' {given}' if given else ''}`"
            runs = {name: each for name, each in found.get(variant, {}).items() if each["options"] == values["options"]}
            found[variant] = {**runs, str(seed): values}
            result = {**environment(), "variants": found}
            print(table(result))
            if options.write:
                publish(NAME, result, table(result), DOCUMENT)


if __name__ == "__main__":
    main()
