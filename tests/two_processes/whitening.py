"""A training of the whitened CNN with look-ahead, and what each process has in the end."""

from functools import partial
from typing import Any

import torch

from litzoo.callbacks import LookAhead
from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import Triangular, WhitenedCNNClassifier
from tests.training import cpu_trainer
from tests.two_processes.unfreezing import NotesWeights


def whiten(processes: int = 1, **trainer_options: Any) -> dict[str, Any]:
    """Trains for three epochs, the bias of the first layer for one; returns weights, all values and test metrics.

    The slow weights of look-ahead meet the weights at the end of each epoch, or they would move the bias later.
    """
    torch.manual_seed(8)
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True)
    model = WhitenedCNNClassifier(
        (1, 28, 28), 10, widths=[4, 4], whitening_bias_epochs=1, tta="flip", optimizer=sgd, scheduler=Triangular
    )
    augment: Any = "alternating_flip_shift"
    datamodule = DigitsDataModule(train_size=160, val_size=40, batch_size=40 // processes, augment=augment)
    noting = NotesWeights()
    trainer = cpu_trainer(max_epochs=3, callbacks=[LookAhead(2), noting], **trainer_options)
    trainer.fit(model, datamodule)
    end = {name: value.detach().clone() for name, value in model.net.state_dict().items()}
    (tested,) = trainer.test(model, datamodule, verbose=False)
    return {"weights": noting.weights, "end": end, "tested": tested}
