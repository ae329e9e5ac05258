"""Writes a program as a file of torch.export or ONNX."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch.export import Dim

from litzoo.callbacks.files import atomic_write
from litzoo.scripts.export.program import Answer, ImageAnswer, program_of
from litzoo.scripts.predict.predictor import Predictor

Format = Literal["torch", "onnx"]
METADATA = "metadata.json"
"""Name of the metadata in a file of torch; in ONNX it is the property `litzoo`."""
OPSET = 18


def export(predictor: Predictor, path: Path, form: Format) -> dict[str, Any]:
    """Writes one file, from uint8 images of any size or table rows to the answer; returns its metadata.

    The number of samples is dynamic, and so are height and width of images.

    Args:
        predictor: Its module, preparation and unknown-class detection are exported.
        path: Of the file.
        form: `torch` for `torch.export.load`, `onnx` for ONNX runtimes.

    Raises:
        ModuleNotFoundError: If the packages for ONNX are not installed.
        ValueError: If the format cannot hold the module or its unknown-class score; nothing is written.
    """
    if form == "onnx":
        require_onnx()
    name = type(predictor.module).__name__
    try:
        answer, example, metadata = program_of(predictor)
    except ValueError as error:
        raise ValueError(f"--format {form}: a {name} cannot be exported: {error}") from error
    score = "" if predictor.detection is None else f" with the score {predictor.detection.score_name}"
    with _quiet():
        try:
            program = torch.export.export(answer.eval(), example, dynamic_shapes=_dynamic(answer, example))
            onnx = _as_onnx(program, metadata) if form == "onnx" else None
        except Exception as error:
            cause = error.__cause__ or error
            reason = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
            raise ValueError(f"--format {form}: a {name}{score} cannot be exported ({reason})") from error
    with atomic_write(path) as temporary:
        if onnx is not None:
            onnx.save(str(temporary))
        else:
            with temporary.open("wb") as stream:  # torch.export.save wants another suffix of a path
                torch.export.save(program, stream, extra_files={METADATA: json.dumps(metadata)})
    return metadata


def require_onnx() -> None:
    """Raises if the packages for ONNX are not installed.

    Raises:
        ModuleNotFoundError: The message names all that are missing, and the command.
    """
    if missing := [name for name in ("onnx", "onnxscript") if find_spec(name) is None]:
        raise ModuleNotFoundError(
            f"--format onnx: needs {' and '.join(missing)}: `pip install 'litzoo[onnx]'`, or use --format torch"
        )


def _dynamic(answer: Answer, example: tuple[torch.Tensor, ...]) -> tuple[Any, ...]:
    batch = Dim("batch", min=1)
    if isinstance(answer, ImageAnswer):
        return ({0: batch, 2: Dim("height", min=2), 3: Dim("width", min=2)},)
    return tuple({0: batch} for _ in example)


def _as_onnx(program: torch.export.ExportedProgram, metadata: dict[str, Any]) -> Any:
    inputs = list(program.call_spec.in_spec.unflatten(range(program.call_spec.in_spec.num_leaves))[0])
    names = ["images"] if len(inputs) == 1 else ["numbers", "codes"]
    outputs = program.call_spec.out_spec.context
    converted = torch.onnx.export(
        program, dynamo=True, opset_version=OPSET, input_names=names, output_names=list(outputs), verbose=False
    )
    assert converted is not None
    converted.model.metadata_props["litzoo"] = json.dumps(metadata)
    return converted


@contextmanager
def _quiet() -> Iterator[None]:
    """Drops the exporters' warnings and progress, which are about their own code."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
