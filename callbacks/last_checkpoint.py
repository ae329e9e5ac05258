from callbacks.movable_checkpoint import MovableCheckpoint


class LastCheckpoint(MovableCheckpoint):
    """Keeps `checkpoints/last.ckpt`, rewritten at the end of every epoch: what an interrupted run is resumed from.

    (`save_last` of Lightning's own callback writes it only in epochs that also improve the best one.)
    """

    def __init__(self) -> None:
        super().__init__(filename="last", enable_version_counter=False, save_on_train_epoch_end=True)

    @property
    def state_key(self) -> str:
        """A constant, unlike that of `BestCheckpoint`."""
        return "LastCheckpoint"
