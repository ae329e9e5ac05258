from collections.abc import Iterable

from lightning.pytorch import Callback

EVERY_STEP = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)


def skip_empty_hooks(callbacks: Iterable[Callback]) -> None:
    """Spares the hooks of every step that a callback does not implement.

    Lightning calls each of them on each callback, empty or not, which a small model feels; it passes over those that
    are not callable.
    """
    for callback in callbacks:
        for hook in EVERY_STEP:
            if getattr(type(callback), hook) is getattr(Callback, hook):
                setattr(callback, hook, None)
