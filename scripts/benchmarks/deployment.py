"""Measures the speed of `Predictor` and of exported programs against the bare network.

Usage: python -m litzoo.scripts.benchmarks.deployment [--rounds 25] [--write]

Decoded images of the network's size in batches of 64, with the unknown-class score `MaxLogit`. The bare network gets
normalised images. Weights are random, which does not change the speed. It measures the CPU time of one thread, which
other processes of the machine hardly affect.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from litzoo.callbacks.unknown import MaxLogit, UnknownDetection
from litzoo.datamodules.images.preparation import ImagePreparation
from litzoo.datamodules.io.images import ImageReader
from litzoo.lit_modules import Classifier, CNNClassifier, WhitenedCNNClassifier
from litzoo.scripts.benchmarks.harness import format_environment, format_ratio, run_benchmark, time_interleaved
from litzoo.scripts.export.files import export
from litzoo.scripts.predict import Predictor
from litzoo.scripts.tables import markdown_table

BATCH_SIZE = 64
BATCHES = 5
"""Batches of one kind in each round."""
NETWORKS: dict[str, Callable[[], Classifier]] = {
    "CNN of `digits_cnn` and `mnist_cnn`, 1×28×28": lambda: CNNClassifier(
        (1, 28, 28), 10, widths=[32, 64], channels_last=True
    ),
    "whitened CNN of `cifar10_fast`, without flips, 3×32×32": lambda: WhitenedCNNClassifier(
        (3, 32, 32), 10, widths=[32, 96, 192], channels_last=True
    ),
}
BARE, PREDICTOR, TORCH, ONNX = "bare network", "`Predictor`", "export, torch", "export, ONNX"


def actions_for(module: Classifier, folder: Path) -> dict[str, Callable[[], object]]:
    """Returns what is timed: name -> function that predicts a batch."""
    import onnxruntime

    shape = tuple(module.hparams["input_shape"])
    channels, height, width = shape
    preparation = ImagePreparation(ImageReader((channels, height, width), True), [0.5] * channels, [0.3] * channels)
    predictor = Predictor(module, preparation, UnknownDetection(MaxLogit(), threshold=0.0), BATCH_SIZE, "cpu")
    images = torch.randint(256, (BATCH_SIZE, *shape), dtype=torch.uint8)
    inputs = module.prepare_input(preparation.as_input(images))
    for form, suffix in (("torch", ".pt2"), ("onnx", ".onnx")):
        export(predictor, folder / f"program{suffix}", form)  # type: ignore[arg-type]
    program = torch.export.load(folder / "program.pt2").module()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(folder / "program.onnx", options)
    given = {"images": images.numpy()}
    return {
        BARE: lambda: module.net(inputs),
        PREDICTOR: lambda: predictor(images),
        TORCH: lambda: program(images),
        ONNX: lambda: session.run(None, given),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures the seconds of a batch: network -> kind -> one number per round."""
    torch.set_num_threads(1)
    seconds: dict[str, Any] = {}
    with torch.inference_mode(False), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        for name, create in NETWORKS.items():
            actions = actions_for(create().eval(), Path(folder))
            repeated = {kind: lambda each=each: [each() for _ in range(BATCHES)] for kind, each in actions.items()}
            times = time_interleaved(repeated, arguments.rounds, time.process_time)
            seconds[name] = {kind: [value / BATCHES for value in each] for kind, each in times.items()}
    return {"batch_size": BATCH_SIZE, "threads": 1, "seconds": seconds}


def table(result: dict[str, Any]) -> str:
    """Formats the result as Markdown."""
    rows = []
    for network, seconds in result["seconds"].items():
        for kind, times in seconds.items():
            rate = f"{result['batch_size'] / statistics.median(times):,.0f}"
            rows.append([network, kind, rate, "" if kind == BARE else format_ratio(seconds[BARE], times)])
    speed = "speed relative to the bare network, median (quartiles)"
    header = ["network", "what predicts", "images per second of CPU time", speed]
    return (
        f"Batches of {result['batch_size']}. {format_environment(result)}; medians of {result['rounds']} interleaved "
        f"rounds.\n\n{markdown_table(header, rows)}"
    )


if __name__ == "__main__":
    run_benchmark("benchmark_deployment", __doc__, 25, measure, table)
