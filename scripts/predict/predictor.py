"""Predictor: class names, probabilities and "unknown", or values, from a checkpoint alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule
from PIL import Image
from torch import Tensor

from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.scores import Evidence, UnknownScore
from litzoo.datamodules.images.preparation import KIND, ImagePreparation
from litzoo.datamodules.io.images import DamagedImageError, in_threads
from litzoo.scripts.predict.inputs import image_files
from litzoo.scripts.predict.loading import load_trained
from litzoo.scripts.predict.predictions import Predictions, joined

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Unreadable = Literal["refuse", "skip"]
_AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Predictor:
    """Predicts new samples with a checkpoint; needs neither the training data nor the config.

    The numbers are those of `litzoo predict --config` and `litzoo test`: equal to the bit for the same images, device,
    batch size and precision.

    Args:
        module: The trained module; its `predict_step` is called.
        preparation: How samples become its inputs.
        detection: Fitted unknown-class detection, if there is one.
        batch_size: Samples in a batch.
        device: Such as `cpu`, `cuda` or `cuda:1`; by default a GPU if there is one.
        precision: `32-true`, `bf16-mixed` or `16-mixed`, as of Lightning's trainer.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> predictor = Predictor.load("best.ckpt")
        >>> predictions = predictor("new_images")
        >>> list(zip(predictions.files, predictions.names))
        [('new_images/a.png', 'cat'), ('new_images/b.jpg', 'unknown')]
    """

    def __init__(
        self,
        module: LightningModule,
        preparation: ImagePreparation,
        detection: UnknownDetection | None = None,
        batch_size: int = 256,
        device: str | torch.device | None = None,
        precision: Precision = "32-true",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: {batch_size} is too small; give at least 1")
        if precision not in ("32-true", *_AUTOCAST):
            raise ValueError(f"precision: {precision!r} is not one of 32-true, {', '.join(_AUTOCAST)}")
        self.device = usable_device(device)
        self.module, self.preparation, self.detection = module.eval().to(self.device), preparation, detection
        self.batch_size, self.precision = batch_size, precision
        self.class_names: list[str] = list(getattr(module, "class_names", ()))
        if getattr(module, "channels_last", False) and self.device.type != "mps":
            module.net.to(memory_format=torch.channels_last)  # type: ignore[union-attr, operator]
        if detection is not None:
            module.keeps_features = detection.score.uses_features  # type: ignore[assignment]
            detection.to(self.device)
        self.threshold = None if detection is None else detection.threshold

    @classmethod
    def load(
        cls,
        checkpoint: str | Path,
        module: type[LightningModule] | LightningModule | None = None,
        score: UnknownScore | None = None,
        **options: Any,
    ) -> "Predictor":
        """Builds a predictor from a checkpoint. No code that the checkpoint contains or names is run.

        Args:
            checkpoint: Such as `best.ckpt`.
            module: Class of the module if it is not one of litzoo's, or a module to load the weights into.
            score: The unknown-class score if it is not one of litzoo's.
            **options: `batch_size`, `device` and `precision`; see `Predictor`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the checkpoint is damaged or of another kind; the message says which.
        """
        trained = load_trained(checkpoint, module, score)
        kind = trained.preprocessing.get("kind")
        if kind != KIND:
            raise ValueError(f"checkpoint {checkpoint}: was trained on {kind}, which Predictor cannot read")
        return cls(trained.module, ImagePreparation.from_state(trained.preprocessing), trained.detection, **options)

    def __call__(
        self, inputs: Any, unreadable: Unreadable = "refuse", progress: Callable[[int], None] | None = None
    ) -> Predictions:
        """Predicts samples.

        Args:
            inputs: A folder, an image file or a list of files; a Pillow image, an array uint8 `[H, W]`, `[H, W, C]` or
                `[N, H, W, C]` (channels last, RGB) or a tensor uint8 `[C, H, W]` or `[N, C, H, W]`, or a list of these.
                Images of other sizes are resized and centre-cropped to that of the training images.
            unreadable: Whether a file that cannot be read is an error, or skipped and listed.
            progress: Is called after each batch with the number of samples done.

        Raises:
            FileNotFoundError: If a folder or file is absent, or a folder holds no image.
            TypeError: If the inputs are of another type.
            ValueError: If there is no sample, or a file cannot be read.
        """
        if unreadable not in ("refuse", "skip"):
            raise ValueError(f"unreadable: {unreadable!r} is not one of refuse, skip")
        samples = _listed(inputs)
        files = [str(each) for each in samples if isinstance(each, (str, Path))]
        if files and len(files) != len(samples):
            raise TypeError("inputs: files are mixed with images in memory; give one or the other")
        parts, kept, problems = [], [], []
        for start in range(0, len(samples), self.batch_size):
            positions, images, failed = self._read(samples[start : start + self.batch_size], unreadable)
            problems += failed
            if positions:
                parts.append(self.predict_batch(images))
                kept += [start + position for position in positions]
            if progress is not None:
                progress(min(self.batch_size, len(samples) - start))
        if not parts:
            reason = f"none of {len(samples)} files can be read: {problems[0]}" if problems else "there is no sample"
            raise ValueError(f"inputs: {reason}")
        return self._predictions(joined(parts), [files[each] for each in kept] if files else [], problems)

    def predict_batch(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the outputs for a batch, on the predictor's device, each `[B, ...]`.

        Args:
            images: uint8 `[B, C, H, W]` of the size of the training images.
        """
        with torch.inference_mode(), self._autocast():
            images = images.to(self.device, non_blocking=True)
            index = torch.arange(len(images), device=self.device)
            outputs = self.module.predict_step({"input": self.preparation.normalise(images), "index": index}, 0)
            kept = {"prediction": outputs["prediction"]}
            if "logits" in outputs:
                kept |= {"confidence": outputs["confidence"], "probabilities": outputs["logits"].softmax(dim=1)}
            if self.detection is not None:
                evidence = Evidence(outputs["logits"], outputs.get("features", outputs["logits"][:, :0]))
                kept["unknown_score"], kept["prediction"] = self.detection.decide(evidence, kept["prediction"])
        return kept

    def _read(self, samples: Sequence[Any], unreadable: Unreadable) -> tuple[list[int], Tensor, list[str]]:
        """Returns the positions of readable samples, their images uint8 `[n, C, H, W]`, and messages of the others."""
        if isinstance(samples, Tensor) and samples.shape[1:] == self.preparation.shape and samples.dtype == torch.uint8:
            return list(range(len(samples))), samples, []

        def attempt(sample: Any) -> Tensor | DamagedImageError:
            try:
                is_file = isinstance(sample, (str, Path))
                return self.preparation.read(Path(sample)) if is_file else self.preparation.convert(sample)
            except DamagedImageError as error:
                return error

        positions, images, problems = [], [], []
        for position, image in enumerate(in_threads(attempt, samples)):
            if isinstance(image, Tensor):
                positions.append(position)
                images.append(image)
            elif unreadable == "refuse":
                raise image
            else:
                problems.append(str(image))
        return positions, torch.stack(images) if images else torch.empty(0), problems

    def _predictions(self, outputs: dict[str, Tensor], files: list[str], problems: list[str]) -> Predictions:
        return Predictions(
            **outputs, class_names=self.class_names, threshold=self.threshold, files=files, unreadable=problems
        )

    def _autocast(self) -> Any:
        dtype = _AUTOCAST.get(self.precision)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)


def usable_device(device: str | torch.device | None) -> torch.device:
    """Returns a device by name; by default a GPU if there is one.

    Raises:
        ValueError: If there is no such device here.
    """
    if device is None or device == "auto":
        on_apple = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if on_apple else "cpu")
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device: {str(device)!r} cannot be used here ({reason}); give cpu, or leave it out") from None


def _listed(inputs: Any) -> Any:
    """Returns a sequence of samples, each a path or an image."""
    if isinstance(inputs, (str, Path)):
        return image_files(Path(inputs))
    if isinstance(inputs, Image.Image):
        return [inputs]
    if isinstance(inputs, np.ndarray):
        is_batch = inputs.ndim == 4 or (inputs.ndim == 3 and inputs.shape[2] not in (1, 3, 4))
        return list(inputs) if is_batch else [inputs]
    if isinstance(inputs, Tensor):
        return inputs if inputs.ndim == 4 else [inputs]
    if isinstance(inputs, Sequence) or isinstance(inputs, Iterator):
        return list(inputs)
    raise TypeError(
        f"inputs: {type(inputs).__name__} is neither a path nor an image; give a folder, a file, a Pillow image, an "
        "array, a tensor, or a list of these"
    )
