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
    """Keeps out what Lightning warns of without need here, its advertisements, and where in the code a warning is."""
    for useless in USELESS:
        warnings.filterwarnings("ignore", useless)
    warnings.formatwarning = _format_warning
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_no_tip)


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Writes a warning without the place in the code that it comes from, and the line there."""
    return f"warning: {message}\n"


def _no_tip(record: logging.LogRecord) -> bool:
    return "Tip:" not in record.getMessage()
