"""Predictor: class names, probabilities and "unknown", or values, from a checkpoint alone."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from litzoo.callbacks.calibration.conformal import Conformal
from litzoo.callbacks.unknown._evidence import evidence_from, observed
from litzoo.callbacks.unknown.detection import UnknownDetection
from litzoo.callbacks.unknown.scores import UnknownScore
from litzoo.datamodules.array_preparation import ArrayPreparation
from litzoo.datamodules.images.preparation import ImagePreparation
from litzoo.datamodules.io.decoding import DamagedImageError, refusal
from litzoo.datamodules.io.images import require_value_range
from litzoo.datamodules.io.threads import in_threads
from litzoo.datamodules.io.value_range import measured_range, range_in_memory, warn_of_range
from litzoo.datamodules.tables.reading import TableReading
from litzoo.lit_modules.mixed_precision import WHY, slow_on_this_cpu
from litzoo.scripts.predict.inputs import listed
from litzoo.scripts.predict.loading import Preparation, load_trained
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
        value_range: Values that become black and white in images of more than 8 bits, such as `(0, 4095)`; by default
            those of training, which are 0 and 65535 if the training images had 8 bits.
        conformal: Calibrated prediction sets or intervals, if there are any.

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
        preparation: Preparation,
        detection: UnknownDetection | None = None,
        batch_size: int = 256,
        device: str | torch.device | None = None,
        precision: Precision = "32-true",
        value_range: tuple[float, float] | None = None,
        conformal: Conformal | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: {batch_size} is too small; give at least 1")
        if precision not in ("32-true", *_AUTOCAST):
            raise ValueError(f"precision: {precision!r} is not one of 32-true, {', '.join(_AUTOCAST)}")
        if value_range is not None:
            if not isinstance(preparation, ImagePreparation):
                raise ValueError("value_range: is for images, which the checkpoint is not of; leave it out")
            preparation.reader = replace(preparation.reader, value_range=require_value_range(value_range))
        self.device = usable_device(device)
        if slow_on_this_cpu(precision, self.device.type):
            rank_zero_warn(f"precision: {precision} is slower than 32-true: {WHY}")
        self.module, self.preparation, self.detection = module.eval().to(self.device), preparation, detection
        self.batch_size, self.precision, self.conformal = batch_size, precision, conformal
        self.class_names: list[str] = list(getattr(module, "class_names", ()))
        if getattr(module, "channels_last", False) and self.device.type != "mps":
            module.net.to(memory_format=torch.channels_last)
        if conformal is not None and "features" in conformal.reads:
            module.keeps_features = True  # type: ignore[assignment]
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
        net: nn.Module | None = None,
        **options: Any,
    ) -> "Predictor":
        """Builds a predictor from a checkpoint. No code that the checkpoint contains or names is run.

        Args:
            checkpoint: Such as `best.ckpt`.
            module: Class of the module if it is not one of litzoo's, or a module to load the weights into.
            score: The unknown-class score if it is not one of litzoo's.
            net: The network if it is your own and the module takes one, as `Classifier` does: a checkpoint holds its
                weights only, which are loaded into it.
            **options: `batch_size`, `device`, `precision` and `value_range`; see `Predictor`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the checkpoint is damaged or of another kind; the message says which.
        """
        trained = load_trained(checkpoint, module, score, net)
        return cls(trained.module, trained.preparation, trained.detection, conformal=trained.conformal, **options)

    def __call__(
        self, inputs: Any, unreadable: Unreadable = "refuse", progress: Callable[[int], None] | None = None
    ) -> Predictions:
        """Predicts samples.

        Args:
            inputs: For a model of tables a pandas data frame or the path of a CSV file, with the columns of training in
                any order. For a model of arrays a tensor, an array or a data frame `[N, ...]`, or a map-style data set;
                see `ArrayPreparation`. For a model of images a folder, an image file or a list of files; a Pillow
                image, an array uint8 `[H, W]`, `[N, H, W]`, `[H, W, C]` or `[N, H, W, C]` (channels last, RGB), a
                tensor `[C, H, W]` or `[N, C, H, W]`, uint8 or floats from 0 to 1; a list of these, or a map-style data
                set, also of `(image, label)` pairs or dictionaries, whose labels are not read. Images of other sizes
                are resized and centre-cropped to that of the training images.
            unreadable: Whether an image file that cannot be read is an error, or skipped and listed.
            progress: Is called after each batch with the number of samples done.

        Raises:
            FileNotFoundError: If a folder or file is absent, or a folder holds no image.
            TypeError: If the inputs are of another type.
            ValueError: If there is no sample, a file cannot be read, or a table has other columns.
        """
        if unreadable not in ("refuse", "skip"):
            raise ValueError(f"unreadable: {unreadable!r} is not one of refuse, skip")
        if isinstance(self.preparation, TableReading):
            return self._predict_rows(self._table_rows(inputs), progress)
        if isinstance(self.preparation, ArrayPreparation):
            return self._predict_rows(self.preparation.tensor(inputs), progress)
        samples = listed(inputs)
        files = [str(each) for each in samples if isinstance(each, (str, Path))]
        if files and len(files) != len(samples):
            raise TypeError("inputs: files are mixed with images in memory; give one or the other")
        self._check_range(samples, bool(files))
        parts, kept, problems = [], [], []
        for start in range(0, len(samples), self.batch_size):
            positions, images, failed = self._read(samples[start : start + self.batch_size])
            problems += failed
            if positions and not (problems and unreadable == "refuse"):  # then reads on to name all of them
                parts.append(self.predict_batch(images))
                kept += [start + position for position in positions]
            if progress is not None:
                progress(min(self.batch_size, len(samples) - start))
        if problems and unreadable == "refuse":
            raise refusal(problems, len(samples), "leave them out with `--unreadable skip`, or `unreadable='skip'`")
        if not parts:
            reason = f"none of {len(samples)} files can be read: {problems[0]}" if problems else "there is no sample"
            raise ValueError(f"inputs: {reason}")
        return self._predictions(parts, [files[each] for each in kept] if files else [], problems)

    def predict_batch(self, inputs: Tensor) -> dict[str, Tensor]:
        """Returns the outputs for a batch, on the predictor's device, each `[B, ...]`.

        Args:
            inputs: Images, uint8 `[B, C, H, W]`, of the size of the training images; or rows, float32 `[B, ...]`,
                as `TableReading` or `ArrayPreparation` prepares them.
        """
        with torch.inference_mode(), self._autocast():
            inputs = inputs.to(self.device)
            index = torch.arange(len(inputs), device=self.device)
            if isinstance(self.preparation, ImagePreparation):
                inputs = self.preparation.as_input(inputs)
            outputs = self.module.predict_step({"input": inputs, "index": index}, 0)
            kept = {"prediction": outputs["prediction"]}
            if "logits" in outputs:
                kept |= {"confidence": outputs["confidence"], "probabilities": outputs["logits"].softmax(dim=1)}
            if self.conformal is not None:
                kept |= self.conformal.predict(*(outputs[name] for name in self.conformal.reads))
            if self.detection is not None:
                extras = observed([self.detection.score], self.module, inputs)
                evidence = evidence_from({**outputs, **extras})
                kept["unknown_score"], kept["prediction"] = self.detection.decide(evidence, kept["prediction"])
        return kept

    def _table_rows(self, table: Any) -> Tensor:
        assert isinstance(self.preparation, TableReading)
        if isinstance(table, (str, Path)):
            table = self.preparation.read(table)
        if not hasattr(table, "columns"):
            raise TypeError(
                f"inputs: {type(table).__name__} is not a table; give a pandas data frame, or the path of a CSV file"
            )
        where = table.attrs.get("file", "the table")
        rows = self.preparation.new_tensor(table, where)
        if not len(rows):
            raise ValueError(f"inputs: {where} has no row")
        return rows

    def _predict_rows(self, rows: Tensor, progress: Callable[[int], None] | None) -> Predictions:
        parts = []
        for batch in rows.split(self.batch_size):
            parts.append(self.predict_batch(batch))
            if progress is not None:
                progress(len(batch))
        return self._predictions(parts)

    def _check_range(self, samples: Any, are_files: bool) -> None:
        assert isinstance(self.preparation, ImagePreparation)
        reader = self.preparation.reader
        found = measured_range(list(map(Path, samples)), reader.page) if are_files else range_in_memory(samples)
        fix = "give `--value_range LOW HIGH`, in Python `value_range=(low, high)`, or images of 8 bits"
        warn_of_range(found, reader.value_range, "the images", fix)

    def _read(self, samples: Sequence[Any]) -> tuple[list[int], Tensor, list[str]]:
        """Returns the positions of readable samples, their images uint8 `[n, C, H, W]`, and messages of the others."""
        preparation = self.preparation
        assert isinstance(preparation, ImagePreparation)
        if isinstance(samples, Tensor) and preparation.is_prepared(samples):
            return list(range(len(samples))), samples, []

        def attempt(sample: Any) -> Tensor | DamagedImageError:
            try:
                is_file = isinstance(sample, (str, Path))
                return preparation.read(Path(sample)) if is_file else preparation.convert(sample)
            except DamagedImageError as error:
                return error

        positions, images, problems = [], [], []
        for position, image in enumerate(in_threads(attempt, samples)):
            if isinstance(image, Tensor):
                positions.append(position)
                images.append(image)
            else:
                problems.append(str(image))
        return positions, torch.stack(images) if images else torch.empty(0), problems

    def _predictions(
        self, parts: Sequence[dict[str, Tensor]], files: Sequence[str] = (), unreadable: Sequence[str] = ()
    ) -> Predictions:
        return Predictions(
            **joined(parts),
            class_names=self.class_names,
            threshold=self.threshold,
            coverage=None if self.conformal is None else self.conformal.coverage,
            files=files,
            unreadable=unreadable,
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
