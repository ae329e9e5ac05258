import pytest
from lightning.pytorch import Callback

from litzoo.callbacks import SynchronizedStop
from tests.callbacks.scripted import STEPS_AN_EPOCH, Scripted
from tests.training import cpu_trainer


class StopsAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step >= self.step


@pytest.mark.parametrize("step", [1, STEPS_AN_EPOCH, STEPS_AN_EPOCH + 2])
def test_a_single_process_stops_at_the_same_step(step):
    trainer = cpu_trainer(max_epochs=3, callbacks=[StopsAt(step), SynchronizedStop()])
    trainer.fit(Scripted([3.0, 2.0, 1.0]))
    assert trainer.global_step == step
