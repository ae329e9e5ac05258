"""The web page of a predictor, made with gradio."""

import os
import socket
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # is read when gradio is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from litzoo.callbacks.reporting.predictions_csv import text_of
from litzoo.datamodules.images.preparation import ImagePreparation
from litzoo.datamodules.io.decoding import DamagedImageError
from litzoo.datamodules.tables.columns import Column
from litzoo.datamodules.tables.reading import TableReading
from litzoo.scripts.predict.loading import require_files
from litzoo.scripts.predict.predictions import Predictions
from litzoo.scripts.predict.predictor import Predictor

MOST_CLASSES = 10
"""Classes whose probabilities are shown."""
STROKE, SIDE = 11, 280
"""Radius of a drawn stroke and side of the canvas, in pixels: the proportions of a handwritten digit."""
SEEN = 168
"""Pixels, at least, of the side of the image that is shown beside the answer."""
SELECT_BRUSH = """() => {
    const wait = setInterval(() => {
        const brush = document.querySelector("#canvas button[aria-label=Brush]");
        if (brush) { brush.click(); clearInterval(wait); }
    }, 200);
}"""
BOOLEANS, MISSING = ["true", "false"], "(missing)"


def build(predictor: Predictor, name: str) -> gr.Blocks:
    """Returns the page for a predictor.

    Args:
        predictor: Of images or of tables.
        name: Of the checkpoint, for the heading.
    """
    preparation = require_files(name, predictor.preparation)
    with gr.Blocks(title=f"litzoo try: {name}", analytics_enabled=False) as app:
        gr.Markdown(f"## {name}: {type(predictor.module).__name__}\n{_described(predictor)}")
        with gr.Row():
            if isinstance(preparation, TableReading):
                _add_form(predictor, preparation)
            else:
                _add_images(predictor, preparation)
                app.load(None, js=SELECT_BRUSH)
    return app


def launch(app: gr.Blocks, host: str, port: int) -> None:
    """Starts to serve a page in the background: with the system's fonts, without a link to the outside.

    Raises:
        OSError: If the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind((host, port))
        except OSError as error:
            raise OSError(f"--host {host} --port {port}: {error.strerror or error}; give another port") from error
        port = free.getsockname()[1]
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        app.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            inbrowser=False,
            show_error=True,
            ssr_mode=False,
            enable_monitoring=False,
            footer_links=[],
            theme=theme,
        )


def drawing(canvas: Mapping[str, Any] | None, is_dark: bool) -> Image.Image | None:
    """Returns what was drawn as a grey image; None if nothing was.

    Args:
        canvas: Value of the canvas: its strokes are where `composite` is opaque.
        is_dark: Whether most pixels of the training images are dark, so that strokes are bright.
    """
    image = None if canvas is None else canvas.get("composite")
    if image is None:
        return None
    rgba = np.asarray(image.convert("RGBA")).astype(np.float32)
    opacity = rgba[..., 3] / 255
    ink = opacity * (1 - rgba[..., :3].mean(axis=2) / 255)  # white paper, if it is drawn, is no ink
    if not ink.any():
        return None
    return Image.fromarray(np.rint(255 * (ink if is_dark else 1 - ink)).astype(np.uint8))


def row_of(columns: list[Column], cells: tuple[Any, ...]) -> pd.DataFrame:
    """Returns the table with one row that the cells of a form are; empty ones are missing."""
    values = [None if cell in ("", MISSING) else cell for cell in cells]
    return pd.DataFrame({column.name: [value] for column, value in zip(columns, values, strict=True)})


def answer(predictions: Predictions) -> tuple[str, dict[str, float] | None]:
    """Returns the first prediction as Markdown, and the probabilities by class; None for a regressor."""
    if not predictions.class_names:
        text = f"# {text_of(float(predictions.prediction[0]))}"
        if predictions.lower is not None and predictions.upper is not None:
            low, high = text_of(float(predictions.lower[0])), text_of(float(predictions.upper[0]))
            text += f"\n{low} to {high} holds the truth with a probability of {predictions.coverage:.4g}"
        return text, None
    assert predictions.probabilities is not None
    lines = [f"# {predictions.names[0]}"]
    likely = predictions.class_names[int(predictions.probabilities[0].argmax())]
    if predictions.unknown_score is not None and predictions.threshold is not None:
        is_unknown = bool(predictions.unknown[0])
        where, nearest = ("above", f"; the most likely class is {likely}") if is_unknown else ("not above", "")
        score = float(predictions.unknown_score[0])
        lines.append(f"unknown score {score:.4g}, {where} the threshold {predictions.threshold:.4g}{nearest}")
    if predictions.prediction_set is not None:
        lines.append(f"with a probability of {predictions.coverage:.4g} one of {', '.join(predictions.set_names[0])}")
    by_class = zip(predictions.class_names, predictions.probabilities[0].tolist(), strict=True)
    return "\n\n".join(lines), dict(by_class)


def _described(predictor: Predictor) -> str:
    if not predictor.class_names:
        assert isinstance(predictor.preparation, TableReading)
        return f"predicts {predictor.preparation.target or 'a number'}"
    detects = "" if predictor.detection is None else f"; unknown classes by {predictor.detection.score_name}"
    return f"{len(predictor.class_names)} classes{detects}"


def _add_images(predictor: Predictor, preparation: ImagePreparation) -> None:
    is_dark, is_grey = sum(preparation.mean) / len(preparation.mean) < 0.5, preparation.shape[0] == 1
    with gr.Column():
        with gr.Tab("Draw", visible=is_grey):
            canvas = gr.Sketchpad(
                type="pil",
                image_mode="RGBA",
                canvas_size=(SIDE, SIDE),
                fixed_canvas=True,
                layers=False,
                transforms=(),
                brush=gr.Brush(default_size=STROKE, colors=["#000000"], color_mode="fixed"),
                label="draw here",
                elem_id="canvas",
            )
            inverted = " Strokes become bright on dark, as in training." if is_dark else ""
            gr.Markdown(f"Draw about as large as the canvas.{inverted}")
            drawn = gr.Button("Predict the drawing", variant="primary", elem_id="drawn")
        with gr.Tab("Image file"):
            # A `gr.Image` would refuse other files itself, in words of Pillow's.
            file = gr.File(type="filepath", label="drop an image", elem_id="file")
        with gr.Tab("Clipboard"):
            pasted = gr.Image(type="filepath", image_mode=None, sources=["clipboard"], label="paste an image")
    outputs = _outputs(predictor, with_input=True)

    def predict(image: Any) -> list[Any]:
        if image is None:
            return ["", *[None] * (len(outputs) - 1)]
        seen = _read(preparation, image) if isinstance(image, Path) else preparation.convert(image)
        return [*answer(_predicted(predictor, image)), _enlarged(seen)]

    drawn.click(lambda value: predict(drawing(value, is_dark)), canvas, outputs, api_visibility="private")
    for field in (file, pasted):
        field.change(lambda path: predict(path and Path(path)), field, outputs, api_visibility="private")


def _add_form(predictor: Predictor, reading: TableReading) -> None:
    with gr.Column():
        fields = _fields(reading)
        sent = gr.Button("Predict", variant="primary", elem_id="sent")
    outputs = _outputs(predictor, with_input=False)

    def predict(*cells: Any) -> Any:
        shown = answer(_predicted(predictor, row_of(reading.columns, cells)))
        return shown if predictor.class_names else shown[0]

    sent.click(predict, fields, outputs, api_visibility="private")


def _fields(reading: TableReading) -> list[Any]:
    """Creates a field for each column; numbers begin with their median in training."""
    categories, medians = iter(reading.categories), iter(reading.medians)
    fields: list[Any] = []
    for column in reading.columns:
        first = [next(medians) for _ in column.value_names][:1]
        if column.kind == "category":
            words = [*filter(None, next(categories)), MISSING]
            fields.append(gr.Dropdown(words, value=words[0], label=column.name))
        elif column.kind == "boolean":
            fields.append(gr.Dropdown([*BOOLEANS, MISSING], value=BOOLEANS[0], label=column.name))
        elif column.kind == "date":
            form = "2024-12-31" if column.date_format == "ISO8601" else column.date_format
            fields.append(gr.Textbox(label=column.name, placeholder=form))
        else:
            fields.append(gr.Number(value=float(f"{first[0]:.6g}"), label=column.name))
    return fields


def _outputs(predictor: Predictor, with_input: bool) -> list[Any]:
    """Creates what shows the answer, the probabilities of a classifier and the image that the network gets."""
    with gr.Column():
        outputs: list[Any] = [gr.Markdown(elem_id="answer")]
        if predictor.class_names:
            shown = min(MOST_CLASSES, len(predictor.class_names))
            label = gr.Label(num_top_classes=shown, show_heading=False, label="probabilities", elem_id="classes")
            outputs.append(label)
        if with_input:
            outputs.append(gr.Image(label="what the network sees", interactive=False, height=SEEN + 60, buttons=[]))
    return outputs


def _enlarged(image: Tensor) -> np.ndarray:
    """Returns an image, uint8 `[C, H, W]`, with each pixel repeated until it is large enough to be seen, as RGB."""
    times = max(1, -(-SEEN // max(image.shape[1:])))
    pixels = image.expand(3, -1, -1).movedim(0, -1).numpy()
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def _read(preparation: ImagePreparation, path: Path) -> Tensor:
    """Reads an image; the page shows what is wrong with a file, without the folder that gradio keeps it in."""
    try:
        return preparation.read(path)
    except DamagedImageError as error:
        text = str(error).replace(str(path), path.name)
        if isinstance(error.__cause__, UnidentifiedImageError):
            text = f"{path.name} is no image that can be read; drop a PNG or JPEG, for example"
        raise gr.Error(text, duration=None, print_exception=False) from error


def _predicted(predictor: Predictor, sample: Any) -> Predictions:
    """Predicts one sample; what is refused is shown on the page."""
    try:
        return predictor(sample if isinstance(sample, pd.DataFrame) else [sample])
    except (OSError, TypeError, ValueError) as error:
        raise gr.Error(str(error), duration=None, print_exception=False) from error
