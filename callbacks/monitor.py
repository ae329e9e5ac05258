from lightning.pytorch import Trainer


def require_metric(trainer: Trainer, owner: str, monitor: str | None) -> None:
    """Refuses a monitored metric that validation does not log; called once the sanity check has validated.

    Args:
        trainer: At the end of its sanity check.
        owner: Who monitors, for the message.
        monitor: Name of the metric. Training metrics do not exist yet and are not checked.

    Raises:
        ValueError: If the metric is absent; the message lists those there are.
    """
    there = sorted(trainer.callback_metrics)
    if monitor and not monitor.startswith("train/") and there and monitor not in there:
        raise ValueError(f"{owner}: monitor {monitor!r} is not logged; there are {', '.join(there)}")
