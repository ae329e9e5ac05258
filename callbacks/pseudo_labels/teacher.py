"""Callback that labels the unlabeled pool with a trained teacher."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from litzoo.callbacks.contracts import HasClassNames, require_class_names
from litzoo.callbacks.files import display_path
from litzoo.callbacks.pseudo_labels.pool import predict_pool, require_assigned_labels, scatter_by_position
from litzoo.lit_modules.weights.checkpoint_files import checkpoint_of, first_misfit, read_checkpoint, shapes_of


class TeacherLabels(Callback):
    """Labels the unlabeled pool once, before training, with a teacher that was trained on the labeled samples.

    The student keeps its initial weights, and learns the teacher's confident labels with `AssignedLabels`. A resumed
    training uses the labels and the threshold in its checkpoint and does not need the teacher.

    Args:
        teacher: A checkpoint of a module with the same network and classes: its path, or the name of an experiment in
            the same folder of runs, of which the newest run with a `best.ckpt` is used. Labels are predicted by a copy
            of the module with the weights of the teacher.
        threshold: Minimum confidence of the labels to learn, in [0, 1].

    Raises:
        ValueError: If the threshold is outside [0, 1], or the teacher is empty.

    Example:
        >>> TeacherLabels("mnist_1000_supervised").threshold
        0.99
    """

    def __init__(self, teacher: str, threshold: float = 0.99) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"TeacherLabels.threshold: {threshold} is not a probability in [0, 1]; 0.99 is usual")
        if not teacher:
            raise ValueError(
                "TeacherLabels.teacher is empty; give the path of a checkpoint, or the name of an experiment"
            )
        self.teacher, self.threshold = teacher, threshold
        self._label_threshold: float | None = None  # of the assigned labels; None before

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks that labels can be assigned to the module; resets the state, before a checkpoint is restored.

        Raises:
            TypeError: If the module is not a classifier that predicts logits, or the datamodule cannot serve the pool.
            ValueError: If the module has no `AssignedLabels`.
        """
        if stage == "fit":
            require_class_names(self, "assigns labels of classes", pl_module)
            require_assigned_labels(self, trainer, pl_module)
            self._label_threshold = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Labels the pool with the teacher, unless the checkpoint of a resumed training has labels.

        Raises:
            FileNotFoundError: If the teacher does not exist.
            ValueError: If it is not a checkpoint, or one with other classes or another network.
        """
        if self._label_threshold is not None:
            if self._label_threshold != self.threshold:
                rank_zero_warn(
                    f"TeacherLabels.threshold: {self.threshold} has no effect; the resumed training keeps its labels "
                    f"and their threshold of {self._label_threshold}"
                )
            return
        path = _find_teacher(self.teacher, Path(trainer.default_root_dir))
        content = read_checkpoint(f"TeacherLabels.teacher {display_path(path)}", path)
        _warn_if_other_split(content, path, trainer)
        pool = predict_pool(trainer, _with_teacher_weights(pl_module, content, path))
        label, confidence = (scatter_by_position(trainer, pool.index, each) for each in (pool.label, pool.confidence))
        require_assigned_labels(self, trainer, pl_module).assign(label, confidence, self.threshold)
        self._label_threshold = self.threshold
        passing, total = int((pool.confidence >= self.threshold).sum()), len(pool.index)
        if not passing:
            rank_zero_warn(
                f"TeacherLabels.threshold: none of {total:,} pool samples has a label of confidence >= "
                f"{self.threshold}, so that nothing is learned from them; the highest is {pool.confidence.max():.4g}: "
                f"lower the threshold, or train the teacher ({display_path(path)}) longer"
            )
        elif trainer.is_global_zero:
            print(f"teacher: {passing:,} of {total:,} pool samples have a label of confidence >= {self.threshold}")

    def state_dict(self) -> dict[str, Any]:
        """Returns the threshold of the assigned labels; the labels are in the state of the module."""
        return {} if self._label_threshold is None else {"threshold": self._label_threshold}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the threshold."""
        self._label_threshold = state_dict.get("threshold")


def _find_teacher(teacher: str, run_folder: Path) -> Path:
    """Returns the path of the teacher's checkpoint.

    Args:
        teacher: A file, or the name of an experiment: a folder of runs in `run_folder` or a folder above it.
        run_folder: Run folder of the student.

    Raises:
        FileNotFoundError: If it is neither a file nor an experiment with a run that has a `best.ckpt`.
    """
    if (found := checkpoint_of(teacher, run_folder)) is None:
        raise FileNotFoundError(
            f"TeacherLabels.teacher: {teacher!r} is neither a file nor an experiment in {display_path(run_folder)} or "
            "above with a run that has a checkpoints/best.ckpt: train it with `litzoo fit` first, or give the path of "
            "a checkpoint"
        )
    return found


def _with_teacher_weights(module: LightningModule, content: Mapping[str, Any], path: Path) -> LightningModule:
    """Returns a copy of a module with the weights of a checkpoint.

    Raises:
        ValueError: If the checkpoint has other classes or another network.
    """
    source = f"TeacherLabels.teacher {display_path(path)}"
    assert isinstance(module, HasClassNames)
    ours, options = list(module.class_names), content.get("hyper_parameters", {})
    theirs = list(options.get("class_names") or map(str, range(options.get("num_classes", len(ours)))))
    if theirs != ours:
        differing = next((pair for pair in zip(theirs, ours, strict=False) if pair[0] != pair[1]), None)
        there, here = map(repr, differing) if differing else (f"{len(theirs)} of them", f"{len(ours)}")
        raise ValueError(
            f"{source}: has learned other classes, {there} there and {here} here; give a teacher with the same classes "
            "in the same order"
        )
    if misfit := first_misfit(content["state_dict"], module, "net."):
        raise ValueError(
            f"{source}: has another architecture: {misfit} to be trained; use the same network for both, such as that "
            "in the config.yaml beside the checkpoint"
        )
    teacher, saved = copy.deepcopy(module), content["state_dict"]
    saved_shapes, shapes = shapes_of(saved), shapes_of(module.state_dict())
    # Buffers that adjust the logits, such as class counts, matter too; those of a loss need not fit.
    fitting = {name: saved[name] for name, shape in shapes.items() if saved_shapes.get(name) == shape}
    teacher.load_state_dict(fitting, strict=False)
    return teacher


def _warn_if_other_split(content: Mapping[str, Any], path: Path, trainer: Trainer) -> None:
    """Warns if the teacher was trained on another split, and so maybe on labels of the pool or the validation set."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    theirs = content.get(type(datamodule).__qualname__, {})
    ours = datamodule.state_dict()
    if "fingerprint" in theirs and theirs["fingerprint"] != ours.get("fingerprint"):
        before, now = theirs.get("options", {}), ours.get("options", {})
        changed = [
            f"data.{name} {before.get(name)} there, {now[name]} here" for name in now if now[name] != before.get(name)
        ]
        rank_zero_warn(
            f"TeacherLabels.teacher {display_path(path)}: was trained on another split of the data "
            f"({'; '.join(changed)}); if it has learned true labels of the pool or of the validation set, the results "
            "of the student are not valid"
        )
