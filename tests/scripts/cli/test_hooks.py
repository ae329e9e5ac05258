from lightning.pytorch import Callback

from litzoo.callbacks import BestWeightsEarlyStopping, FiniteLoss
from litzoo.scripts.cli.default_callbacks import EVERY_STEP, skip_empty_hooks
from tests.scripts.helpers import short_fit


def test_only_hooks_that_are_not_implemented_are_skipped():
    callbacks = [Callback(), FiniteLoss(), BestWeightsEarlyStopping()]
    skip_empty_hooks(callbacks)
    left = [{hook for hook in EVERY_STEP if callable(getattr(callback, hook))} for callback in callbacks]
    assert left == [set(), {"on_before_backward"}, {"on_train_batch_start"}]


def test_a_users_callback_still_hears_of_every_step():
    cli = short_fit("--trainer.callbacks+=tests.scripts.helpers.CountsSteps", "--test_after_fit=false")
    (counter,) = [each for each in cli.trainer.callbacks if type(each).__name__ == "CountsSteps"]
    assert counter.steps == cli.trainer.global_step > 0
