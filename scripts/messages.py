import logging
import warnings

USELESS = (
    ".*does not have many workers",  # the data are in memory
    ".*no learning rate schedulers",  # then there is nothing to log
    ".*smaller than the logging interval",  # metrics are logged once an epoch anyway
    ".*isinstance.treespec, LeafSpec.",  # a matter between Lightning and torch
    ".*args parameter is intended",
    "Total length of `list`",  # validation is off
    "Checkpoint directory .* exists and is not empty",  # a resumed run goes on in its folder
    "Using `DistributedSampler` with the dataloaders",  # metrics count each sample once
)


def keep_out_useless_messages() -> None:
    """Keeps out what Lightning warns of without need here, and its advertisements for other packages."""
    for useless in USELESS:
        warnings.filterwarnings("ignore", useless)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_no_tip)


def _no_tip(record: logging.LogRecord) -> bool:
    return "Tip:" not in record.getMessage()
