import math
from pathlib import Path

import pytest
import torch

from callbacks import BestCheckpoint, FiniteLoss, LastCheckpoint
from tests.callbacks.scripted import STEPS_AN_EPOCH, Scripted
from tests.training import cpu_trainer


def fit(bad_step, bad_loss=math.nan, **options):
    model = Scripted([3.0, 2.0, 1.0], bad_step=bad_step, bad_loss=bad_loss)
    trainer = cpu_trainer(
        max_epochs=3, callbacks=[FiniteLoss(), BestCheckpoint(), LastCheckpoint()], enable_checkpointing=True, **options
    )
    try:
        trainer.fit(model)
    finally:
        fit.weight = model.weight.item()


@pytest.mark.parametrize("bad_loss", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bad_step", [0, 2, 7])
def test_the_run_stops_at_the_bad_step_with_sound_weights(bad_step, bad_loss):
    with pytest.raises(FloatingPointError, match=rf"at step {bad_step} \(epoch {bad_step // STEPS_AN_EPOCH}\)"):
        fit(bad_step, bad_loss)
    assert fit.weight == bad_step


def test_earlier_checkpoints_stay():
    with pytest.raises(FloatingPointError):
        fit(bad_step=2 * STEPS_AN_EPOCH + 1)
    for name in ("best", "last"):
        checkpoint = torch.load(Path("run/checkpoints") / f"{name}.ckpt", weights_only=True)
        assert (checkpoint["epoch"], checkpoint["state_dict"]["weight"].item()) == (1, 2 * STEPS_AN_EPOCH)


def test_finite_losses_pass():
    fit(bad_step=None)
    assert fit.weight == 3 * STEPS_AN_EPOCH
