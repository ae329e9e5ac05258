import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from litzoo.callbacks.files import shown
from litzoo.callbacks.pseudo_labels.pool import by_position, pool_answers, require_takes_labels
from litzoo.callbacks.reporting.classification import NamesClasses, require_class_names
from litzoo.lit_modules.weights.checkpoint_files import checkpoint_of, first_misfit, read_checkpoint, shapes_of


class TeacherLabels(Callback):
    """Has the unlabeled pool labelled once, before a training, by a teacher that was trained on the labeled samples.

    The student starts from weights of its own, and learns the labels of which the teacher is sure, with
    `AssignedLabels`. A resumed training goes on with the labels and the threshold in its checkpoint; the teacher is not
    needed any more.

    Args:
        teacher: A checkpoint of a module with the same network and classes: its path, or the name of an experiment in
            the same folder of runs, whose newest run with a `best.ckpt` is taken. It answers as this module would with
            its weights.
        threshold: Confidence from which a label is learned, in [0, 1].

    Raises:
        ValueError: If the threshold is outside [0, 1], or no teacher is named.

    Example:
        >>> TeacherLabels("mnist_1000_supervised").threshold
        0.99
    """

    def __init__(self, teacher: str, threshold: float = 0.99) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"TeacherLabels.threshold: {threshold} is no probability in [0, 1]; 0.99 is usual")
        if not teacher:
            raise ValueError("TeacherLabels.teacher: is empty; give a checkpoint, or the name of an experiment")
        self.teacher, self.threshold = teacher, threshold
        self._labelled_from: float | None = None  # the threshold of the labels that there are

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses a module that takes no labels, and begins anew: a checkpoint is restored later.

        Raises:
            TypeError: If module or datamodule are none of the zoo's.
            ValueError: If the module has no pseudo-labels, or finds them itself.
        """
        if stage == "fit":
            require_class_names(self, "hands over labels of classes", pl_module)
            require_takes_labels(self, trainer, pl_module)
            self._labelled_from = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Loads the teacher and hands its labels over, unless the checkpoint of a resumed training has them.

        Raises:
            FileNotFoundError: If there is no such teacher.
            ValueError: If it is no checkpoint, or one of other classes or of another network.
        """
        if self._labelled_from is not None:
            if self._labelled_from != self.threshold:
                rank_zero_warn(
                    f"TeacherLabels.threshold: {self.threshold} is asked for; the resumed training keeps its labels "
                    f"from a confidence of {self._labelled_from} up"
                )
            return
        path = find_teacher(self.teacher, Path(trainer.default_root_dir))
        content = read_checkpoint(f"TeacherLabels.teacher {shown(path)}", path)
        _warn_of_other_data(content, path, trainer)
        found = pool_answers(trainer, taught(pl_module, content, path))
        label, confidence = (by_position(trainer, found.index, values) for values in (found.label, found.confidence))
        require_takes_labels(self, trainer, pl_module).assign(label, confidence, self.threshold)
        self._labelled_from = self.threshold
        passing, total = int((found.confidence >= self.threshold).sum()), len(found.index)
        if not passing:
            rank_zero_warn(
                f"TeacherLabels.threshold: none of {total:,} pool samples has a label of confidence >= "
                f"{self.threshold}; the highest is {found.confidence.max():.4g}, so that nothing is learned from them: "
                f"lower it, or train the teacher ({shown(path)}) for longer"
            )
        elif trainer.is_global_zero:
            print(f"teacher: {passing:,} of {total:,} pool samples have a label of confidence >= {self.threshold}")

    def state_dict(self) -> dict[str, Any]:
        """Returns the threshold that the labels in the module's own state were handed over with."""
        return {} if self._labelled_from is None else {"threshold": self._labelled_from}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it."""
        self._labelled_from = state_dict.get("threshold")


def find_teacher(teacher: str, run_folder: Path) -> Path:
    """Returns the file that a teacher is in.

    Args:
        teacher: A file, or an experiment: a folder of runs beside the run, or further up.
        run_folder: Of the student.

    Raises:
        FileNotFoundError: If it is neither a file nor an experiment with a run that has a `best.ckpt`.
    """
    if (found := checkpoint_of(teacher, run_folder)) is None:
        raise FileNotFoundError(
            f"TeacherLabels.teacher: {teacher!r} is neither a file nor an experiment in {shown(run_folder)} or above, "
            "with a run that has a checkpoints/best.ckpt: train it with `litzoo fit` first, or give the path of a "
            "checkpoint"
        )
    return found


def taught(module: LightningModule, content: Mapping[str, Any], path: Path) -> LightningModule:
    """Returns a copy of a module with the weights of a checkpoint.

    Raises:
        ValueError: If it is one of other classes or of another network.
    """
    asked = f"TeacherLabels.teacher {shown(path)}"
    assert isinstance(module, NamesClasses)
    ours, options = list(module.class_names), content.get("hyper_parameters", {})
    theirs = list(options.get("class_names") or map(str, range(options.get("num_classes", len(ours)))))
    if theirs != ours:
        differing = next((pair for pair in zip(theirs, ours, strict=False) if pair[0] != pair[1]), None)
        there, here = map(repr, differing) if differing else (f"{len(theirs)} of them", f"{len(ours)}")
        raise ValueError(
            f"{asked}: has learned other classes, {there} there and {here} here; give a teacher of the same classes in "
            "the same order"
        )
    if misfit := first_misfit(content["state_dict"], module, "net."):
        raise ValueError(
            f"{asked}: is of another architecture: {misfit} to be taught; give both the same network, as the "
            "config.yaml beside the checkpoint has it"
        )
    teacher, saved = copy.deepcopy(module), content["state_dict"]
    saved_shapes, shapes = shapes_of(saved), shapes_of(module.state_dict())
    # Beside the network, what its answers are adjusted by counts too, such as class counts; a loss may keep anything.
    fitting = {name: saved[name] for name, shape in shapes.items() if saved_shapes.get(name) == shape}
    teacher.load_state_dict(fitting, strict=False)
    return teacher


def _warn_of_other_data(content: Mapping[str, Any], path: Path, trainer: Trainer) -> None:
    """Warns of a teacher that may have been shown true labels of the pool, or of the validation set."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    theirs = content.get(type(datamodule).__qualname__, {})
    ours = datamodule.state_dict()
    if "fingerprint" in theirs and theirs["fingerprint"] != ours.get("fingerprint"):
        before, now = theirs.get("options", {}), ours.get("options", {})
        changed = [
            f"data.{name} {before.get(name)} there, {now[name]} here" for name in now if now[name] != before.get(name)
        ]
        rank_zero_warn(
            f"TeacherLabels.teacher {shown(path)}: was trained on another split of the data ({'; '.join(changed)}); if "
            "it has learned true labels of the pool or of the validation set, the student's results say nothing"
        )
