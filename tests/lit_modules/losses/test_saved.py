import torch

from tests.lit_modules.losses.catalogue import ROWS, batch, call, every_loss, trained


def restored(loss, loss_class, options):
    torch.save(loss.state_dict(), "loss.pt")
    fresh = loss_class(**options, reduction="none")
    fresh.load_state_dict(torch.load("loss.pt", weights_only=True))
    return fresh


@every_loss
def test_the_state_of_a_loss_is_saved_and_loaded(loss_class, options):
    loss, (logits, target) = trained(loss_class, options), batch(ROWS)
    fresh = restored(loss, loss_class, options)
    assert torch.equal(call(fresh.eval(), logits, target), call(loss.eval(), logits, target))


@every_loss
def test_a_resumed_training_equals_an_uninterrupted_one(loss_class, options):
    unbroken, resumed = (loss_class(**options, reduction="none") for _ in range(2))
    batches = [batch(ROWS // 2) for _ in range(12)]
    for step, (logits, target) in enumerate(batches):
        index = torch.arange(ROWS // 2) + ROWS // 2 * (step % 2)
        given = {"index": index, "epoch": step // 2}
        resumed = restored(resumed, loss_class, options)
        torch.manual_seed(step)
        expected = call(unbroken, logits, target, **given)
        torch.manual_seed(step)
        assert torch.equal(call(resumed, logits, target, **given), expected), f"step {step}"


@every_loss
def test_a_loss_shares_nothing_with_the_one_that_it_was_loaded_from(loss_class, options):
    first, second = trained(loss_class, options), loss_class(**options, reduction="none")
    logits, target = batch(ROWS)
    before = call(first.eval(), logits, target)
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        call(second, 3 * torch.randn_like(logits), target)
    assert torch.equal(call(first.eval(), logits, target), before)
