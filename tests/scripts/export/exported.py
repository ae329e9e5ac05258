"""Exports predictors and runs the files; programs of the documentation that do the same without litzoo."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from litzoo import Predictor
from litzoo.datamodules.images.preparation import ImagePreparation
from litzoo.datamodules.io.images import ImageReader
from litzoo.scripts.export.files import export

SHAPE = (3, 32, 32)
PAGE = Path(__file__).parents[3] / "docs" / "deploy.md"


def documented(name):
    """Returns the program in docs/deploy.md that reads the exported file of this name."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (block,) = (each for each in blocks if name in each)
    assert "from litzoo" not in block
    return block


def require_format(form):
    if form == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")


def predictor_of(module, detection=None):
    preparation = ImagePreparation(ImageReader(SHAPE, resize=True), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))
    return Predictor(module, preparation, detection, device="cpu")


def answers(predictor, form, images):
    """Exports a predictor, runs the file on images, and returns its outputs."""
    require_format(form)
    if form == "torch":
        export(predictor, Path("a.pt2"), "torch")
        return torch.export.load("a.pt2").module()(images)
    import onnxruntime

    export(predictor, Path("a.onnx"), "onnx")
    session = onnxruntime.InferenceSession("a.onnx")
    outputs = session.run(None, {"images": images.numpy()})
    return {
        each.name: torch.from_numpy(np.asarray(value))
        for each, value in zip(session.get_outputs(), outputs, strict=True)
    }
