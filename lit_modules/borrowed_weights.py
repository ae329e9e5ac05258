from abc import abstractmethod
from typing import Any

from lightning.pytorch import LightningModule


class BorrowedWeights(LightningModule):
    """A module whose training begins with weights from elsewhere, unless a checkpoint brings its own.

    They are put in before any callback tries something out, such as learning rates. Whether a checkpoint will come is
    not known by then: what is wrong with the weights is told when it has not.

    Attributes:
        source: Where the weights are, until they have been put in; a second training goes on with what the first one
            has learned.
    """

    source: Any = None
    _problem: Exception | None = None

    @abstractmethod
    def fetch(self) -> None:
        """Downloads the weights, unless they are there; raises FileNotFoundError if they are not there then."""

    @abstractmethod
    def put_in(self) -> None:
        """Puts the weights in; raises FileNotFoundError or ValueError, with the remedy, if it cannot be done."""

    def prepare_data(self) -> None:
        """Fetches the weights that a training begins with."""
        if self.source is not None and self.trainer.state.fn == "fit":
            self._problem = self._tried(self.fetch)

    def setup(self, stage: str) -> None:
        """Puts them in."""
        super().setup(stage)
        if stage == "fit" and self.source is not None:
            self._problem = self._problem or self._tried(self.put_in)
            if self._problem is None:
                self.source = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes that what is saved is random still, by a callback that tries something out before training begins."""
        super().on_save_checkpoint(checkpoint)
        if self.source is not None:
            checkpoint["begun"] = False

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Notes that weights have come with a checkpoint."""
        super().on_load_checkpoint(checkpoint)
        if checkpoint.get("begun", True):
            self.source = None

    def on_fit_start(self) -> None:
        """Tells why a training cannot begin.

        Raises:
            FileNotFoundError: If the weights are absent and cannot be downloaded; the message says which file belongs
                where.
            ValueError: If the file is damaged, or they do not fit; the message names the first that differs.
        """
        if self.source is not None and self._problem is not None:
            raise self._problem

    @staticmethod
    def _tried(action: Any) -> Exception | None:
        try:
            action()
        except (FileNotFoundError, ValueError) as error:
            return error
        return None
