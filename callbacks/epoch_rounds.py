from lightning.pytorch.utilities import rank_zero_warn


def check_rounds(owner: str, start_epoch: int, every_epochs: int) -> None:
    """Refuses epochs at which nothing can be done.

    Raises:
        ValueError: If the first one is negative, or the distance below 1.
    """
    if start_epoch < 0:
        raise ValueError(f"{owner}.start_epoch: {start_epoch} is negative; give 0 for the first epoch, or a later one")
    if every_epochs < 1:
        raise ValueError(f"{owner}.every_epochs: {every_epochs} is too small; give at least 1, for every epoch")


def round_at(epoch: int, start_epoch: int, every_epochs: int) -> int:
    """Returns which round, counted from 1, is held at an epoch; 0 where there is none."""
    since = epoch - start_epoch
    return 0 if since < 0 or since % every_epochs else since // every_epochs + 1


def warn_if_never(owner: str, start_epoch: int, epochs: int | None) -> None:
    """Warns where a training of so many epochs ends before the first round."""
    if epochs is not None and 0 <= epochs <= start_epoch:
        rank_zero_warn(
            f"{owner}.start_epoch: {start_epoch}, but training ends after trainer.max_epochs {epochs}: nothing will be "
            "done at all; start earlier, or train longer"
        )
