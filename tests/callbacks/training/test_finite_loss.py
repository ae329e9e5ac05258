import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from litzoo.callbacks import BestCheckpoint, FiniteLoss, LastCheckpoint
from tests.callbacks.scripted import STEPS_AN_EPOCH, Scripted
from tests.training import cpu_trainer


class FiniteLossOnDevice(FiniteLoss):
    """Treats every loss as if it were on another device than the CPU."""

    def on_before_backward(self, trainer, pl_module, loss):
        on_device = SimpleNamespace(device=SimpleNamespace(type="other"), detach=loss.detach)
        super().on_before_backward(trainer, pl_module, on_device)


def fit(bad_step, bad_loss=math.nan, finite_loss=FiniteLoss, **options):
    model = Scripted([3.0, 2.0, 1.0], bad_step=bad_step, bad_loss=bad_loss)
    callbacks = [finite_loss(), BestCheckpoint(), LastCheckpoint()]
    trainer = cpu_trainer(max_epochs=3, callbacks=callbacks, enable_checkpointing=True, **options)
    try:
        trainer.fit(model)
    finally:
        fit.weight = model.weight.item()


@pytest.mark.parametrize("bad_loss", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bad_step", [0, 2, 7])
def test_the_run_stops_at_the_bad_step_with_the_weights_before_it(bad_step, bad_loss):
    with pytest.raises(FloatingPointError, match=rf"at step {bad_step} \(epoch {bad_step // STEPS_AN_EPOCH}\)"):
        fit(bad_step, bad_loss)
    assert fit.weight == bad_step


@pytest.mark.parametrize("finite_loss", [FiniteLoss, FiniteLossOnDevice])
def test_earlier_checkpoints_stay(finite_loss):
    with pytest.raises(FloatingPointError, match="at step 9"):
        fit(bad_step=2 * STEPS_AN_EPOCH + 1, finite_loss=finite_loss)
    for name in ("best", "last"):
        checkpoint = torch.load(Path("run/checkpoints") / f"{name}.ckpt", weights_only=True)
        assert (checkpoint["epoch"], checkpoint["state_dict"]["weight"].item()) == (1, 2 * STEPS_AN_EPOCH)


def test_finite_losses_pass():
    fit(bad_step=None)
    assert fit.weight == 3 * STEPS_AN_EPOCH
