"""Training batches of data with classes: class sampling, and an unlabeled pool beside the labeled samples."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lightning.pytorch.utilities import CombinedLoader

from litzoo.datamodules.samplers import BalancedBatches, EpochBatches, WeightedBatches

if TYPE_CHECKING:
    from litzoo.datamodules.class_labels import ClassLabels


def labeled_batches(data: "ClassLabels", **options: Any) -> EpochBatches:
    """Returns the sampler of labeled training batches, by `data.sampling`; the options are those of `EpochBatches`."""
    assert data.split is not None
    assert data.targets is not None
    classes = data.targets[data.split.train]
    if data.sampling == "weighted":
        return WeightedBatches(classes, data.class_weights, data.batch_size, **options)
    if data.sampling == "balanced":
        return BalancedBatches(classes, data.batch_size, **options)
    return EpochBatches(len(classes), data.batch_size, **options)


def with_unlabeled(
    data: "ClassLabels", labeled: Any, loader: Callable[..., Any], processes: dict[str, Any]
) -> CombinedLoader:
    """Serves the unlabeled pool together with the labeled samples.

    Args:
        data: The datamodule.
        labeled: Loader of the labeled samples.
        loader: Returns a loader of a data set, a batch size and further options.
        processes: Number of processes and rank, as `EpochBatches` takes them.

    Raises:
        ValueError: If the module that is trained is not semi-supervised.
    """
    module = getattr(data.trainer, "lightning_module", None)
    if not getattr(module, "semi_supervised", True):
        raise ValueError(
            f"data.unlabeled_batch_size is {data.unlabeled_batch_size}, but {type(module).__name__} trains on labeled "
            "samples only: leave the option out, or choose a semi-supervised module"
        )
    pool, batch_size = data.unlabeled_set, data.unlabeled_batch_size
    assert pool is not None
    assert batch_size is not None
    if getattr(data.trainer, "overfit_batches", 0):
        unlabeled = loader(data.overfitted(pool), batch_size)
    else:
        unlabeled = loader(
            pool, None, sampler=EpochBatches(len(pool), batch_size, steps=data.steps, stream=1, **processes)
        )
    return CombinedLoader({"labeled": labeled, "unlabeled": unlabeled}, "max_size_cycle")
