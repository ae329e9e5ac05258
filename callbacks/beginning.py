from lightning.pytorch import Trainer


def begins_anew(trainer: Trainer, stage: str) -> bool:
    """Says in `setup` whether a training begins, so that what is known of an earlier one does not count.

    A trainer that goes on has taken steps; what the checkpoint of a resumed training knows is restored after `setup`.
    """
    return stage == "fit" and not trainer.global_step
