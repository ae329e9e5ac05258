import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from litzoo.callbacks import EpochSeed, ExactResume, GradualUnfreezing, LastCheckpoint
from litzoo.callbacks.checkpoints.atomic_io import use_atomic_checkpoints
from litzoo.lit_modules import TransferClassifier
from tests.callbacks.kills import Interrupts, differences
from tests.callbacks.unfrozen import SHAPE, RecordsSteps, cnn, digits, fit
from tests.counted import count
from tests.training import cpu_trainer

LAST = Path("run/checkpoints/last.ckpt")


@pytest.mark.parametrize("killed", [1, 2, 3])
@pytest.mark.parametrize("cached", [False, True])
def test_a_killed_and_resumed_training_ends_as_an_uninterrupted_one(killed, cached, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")
    schedule = {2: 1, 3: "all"}
    optimizer = partial(torch.optim.Adam, lr=0.01)

    def module():
        if not cached:
            return cnn(scheduler=partial(OneCycleLR, max_lr=0.01), optimizer=optimizer)
        torch.manual_seed(0)
        return TransferClassifier(SHAPE, 10, network="squeezenet1_1", optimizer=optimizer)

    def run(*callbacks, **options):
        every = [GradualUnfreezing(0, schedule, 0.5, cache_features=cached), *callbacks]
        every = [EpochSeed(), ExactResume(), *every, LastCheckpoint()]
        trainer = cpu_trainer(callbacks=every, max_epochs=5, enable_checkpointing=True, limit_val_batches=0)
        use_atomic_checkpoints(trainer)
        trainer.fit(model := module(), digits(), **options)
        return model.state_dict(), torch.load(LAST, weights_only=True)

    uninterrupted = run()
    shutil.rmtree("run")
    with pytest.raises(RuntimeError, match="killed"):
        run(Interrupts(killed))
    assert differences(run(ckpt_path=LAST), uninterrupted) == []
    count("kills survived")


def test_a_resumed_training_follows_the_current_configuration():
    def run(schedule, epochs, **options):
        steps = RecordsSteps()
        every = [GradualUnfreezing(0, schedule), steps, LastCheckpoint()]
        trainer = cpu_trainer(callbacks=every, max_epochs=epochs, enable_checkpointing=True)
        trainer.fit(cnn(), digits(), **options)
        return steps.frozen

    assert run({1: 1}, 2) == [3, 3, 2, 2]
    assert run({1: 3, 3: "all"}, 3, ckpt_path=LAST) == [0, 0]


def test_cached_features_equal_computed_ones_and_are_computed_once():
    def train(cached):
        torch.manual_seed(0)
        model = TransferClassifier(SHAPE, 10, network="squeezenet1_1", optimizer=partial(torch.optim.SGD, lr=0.01))
        seen = []
        model.net.trunk.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
        unfreezing = GradualUnfreezing(0, {3: 1}, cache_features=cached)
        fit(unfreezing, model=model, limit_val_batches=0, datamodule=digits(num_workers=0))
        return model.net.state_dict(), seen

    (ours, once), (computed, always) = train(True), train(False)
    assert once == [20, 20, 20, 20]  # every sample once, and again in the epoch in which a stage is trained
    assert always == [20] * 8
    for name, value in computed.items():
        torch.testing.assert_close(ours[name], value, msg=name)
