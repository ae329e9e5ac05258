from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read_history(run_folder: Path) -> dict[str, dict[int, float]]:
    """Reads what TensorBoard was told in a run's training and validation.

    Returns:
        Metric -> epoch (from 1) -> value; of several values in an epoch the last.
    """
    events = EventAccumulator(str(run_folder), size_guidance={"scalars": 0}, purge_orphaned_data=False)
    events.Reload()
    names = events.Tags()["scalars"]
    epoch_of: dict[int, int] = {}
    for event in events.Scalars("epoch") if "epoch" in names else ():
        epoch_of.setdefault(event.step, int(event.value) + 1)
    history = {
        name: {
            epoch_of[event.step]: event.value
            for event in sorted(events.Scalars(name), key=lambda event: event.step)
            if event.step in epoch_of
        }
        for name in names
        if name.startswith(("train/", "val/"))
    }
    return {name: values for name, values in history.items() if values}  # what is logged by steps may have no epoch
