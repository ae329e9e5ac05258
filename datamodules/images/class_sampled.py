from typing import Any, Literal

from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from litzoo.datamodules.images.classified import ClassifiedDataModule
from litzoo.datamodules.samplers import BalancedBatches, EpochBatches, WeightedBatches
from litzoo.datamodules.splits.classes import class_weights


class ClassSampledDataModule(ClassifiedDataModule):
    """Samples with classes, served as often as their class asks for, and beside samples without a label.

    Args:
        unlabeled_batch_size: Samples without label in a training batch. When left out, only labeled ones are served;
            else each batch is a `SemiSupervisedBatch`, and an epoch ends when the larger part has been seen.
        sampling: `shuffle` serves every training sample once an epoch; `weighted` each class in proportion to its
            size times its class weight; `balanced` makes batches with as many samples of every class.
        class_weighting: How class weights, of `weighted` sampling and of losses that ask for them, follow from the
            classes' sizes: see `class_weights`.
        effective_beta: β of the weighting `effective`.
        **options: See `ClassifiedDataModule` and `BaseDataModule`.

    Raises:
        ValueError: If an option is none of its choices, or unlabeled samples are asked for and there are none.
    """

    def __init__(
        self,
        unlabeled_batch_size: int | None = None,
        sampling: Literal["shuffle", "weighted", "balanced"] = "shuffle",
        class_weighting: Literal["inverse", "sqrt", "effective", "complement"] = "inverse",
        effective_beta: float = 0.999,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if unlabeled_batch_size is not None and (self.num_labeled is None or unlabeled_batch_size < 1):
            raise ValueError(
                f"data.unlabeled_batch_size {unlabeled_batch_size} with data.num_labeled {self.num_labeled}: give at "
                "least 1, and say how many samples are labeled"
            )
        if sampling not in ("shuffle", "weighted", "balanced"):
            raise ValueError(f"data.sampling: {sampling!r} is none of shuffle, weighted, balanced")
        if not 0 <= effective_beta < 1:
            raise ValueError(f"data.effective_beta: {effective_beta} is outside [0, 1); 0.99 and 0.999 are usual")
        class_weights([1], class_weighting, effective_beta)
        self.unlabeled_batch_size = unlabeled_batch_size
        self.sampling, self.class_weighting, self.effective_beta = sampling, class_weighting, effective_beta

    @property
    def class_weights(self) -> Tensor:
        """How much a training sample of each class counts, float32 `[K]`."""
        return class_weights(self.class_counts, self.class_weighting, self.effective_beta)

    @property
    def steps(self) -> int | None:
        """Batches of an epoch of each process where unlabeled ones come beside them: the larger part is seen once."""
        if self.unlabeled_batch_size is None:
            return None
        assert self.split is not None
        processes = self._processes()["num_replicas"]
        parts = [(self.split.train, self.batch_size), (self.split.unlabeled, self.unlabeled_batch_size)]
        return max(-(-len(part) // (batch * processes)) for part, batch in parts)

    def train_batches(self) -> EpochBatches:
        """Returns which labeled samples make which batch."""
        assert self.split is not None
        assert self.targets is not None
        options: dict[str, Any] = {"drop_last": self.drop_last, "steps": self.steps, **self._processes()}
        classes = self.targets[self.split.train]
        if self.sampling == "weighted":
            return WeightedBatches(classes, self.class_weights, self.batch_size, **options)
        if self.sampling == "balanced":
            return BalancedBatches(classes, self.batch_size, **options)
        return EpochBatches(len(classes), self.batch_size, **options)

    def train_dataloader(self) -> Any:
        """Serves the labeled training set, and beside it the pool of unlabeled samples if that is asked for.

        Raises:
            ValueError: If it is asked for, and the module says that it trains on labeled samples alone.
        """
        if self.unlabeled_batch_size is None:
            return super().train_dataloader()
        module = getattr(self.trainer, "lightning_module", None)
        if not getattr(module, "semi_supervised", True):
            raise ValueError(
                f"data.unlabeled_batch_size {self.unlabeled_batch_size} serves unlabeled samples beside the labeled "
                f"ones, but {type(module).__name__} trains on labeled ones alone: leave the option out"
            )
        assert self.train_set is not None
        assert self.unlabeled_set is not None
        if getattr(self.trainer, "overfit_batches", 0):
            labeled = self._loader(self.train_set, self.batch_size)
            unlabeled = self._loader(self.unlabeled_set, self.unlabeled_batch_size)
        else:
            pool, batch, steps = len(self.unlabeled_set), self.unlabeled_batch_size, self.steps
            batches = EpochBatches(pool, batch, steps=steps, stream=1, **self._processes())
            labeled = self._loader(self.train_set, None, sampler=self.train_batches())
            unlabeled = self._loader(self.unlabeled_set, None, sampler=batches)
        loaders = {"labeled": labeled, "unlabeled": unlabeled}
        return CombinedLoader(loaders, "max_size_cycle")

    def _split(self, labels: Tensor) -> None:
        super()._split(labels)
        assert self.split is not None
        if self.unlabeled_batch_size is not None and not len(self.split.unlabeled):
            raise ValueError(
                f"data.unlabeled_batch_size {self.unlabeled_batch_size}, but data.num_labeled {self.num_labeled} "
                f"labels all {len(self.split.train)} training samples: label fewer"
            )
