"""Exports predictors and runs the files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from litzoo import Predictor
from litzoo.datamodules.images.preparation import ImagePreparation
from litzoo.datamodules.io.images import ImageReader
from litzoo.scripts.export.files import export

SHAPE = (3, 32, 32)


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
