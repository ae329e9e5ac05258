import pytest
import torch

from litzoo.callbacks import EpochSeed
from litzoo.lit_modules import CNNClassifier, FixMatch, OnlinePseudoLabels, SoftMixUp
from tests.lit_modules.pool_training import Steps, cnn, digits, fit, method_of
from tests.lit_modules.semi_supervised.methods import every_method, ready
from tests.training import cpu_trainer


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@every_method
def test_a_checkpoint_predicts_the_same_and_restores_the_state_of_the_method(method_class, options):
    datamodule, method = digits(), method_of(method_class, options)
    method.bar(torch.arange(2000) % 5 == 0)
    model = cnn(method)
    fit(model, datamodule).save_checkpoint("saved.ckpt")
    loaded = CNNClassifier.load_from_checkpoint(
        "saved.ckpt", weights_only=True, pseudo_labels=method_class(**options), map_location="cpu"
    )
    first, second = (
        torch.cat([each["logits"] for each in cpu_trainer().predict(each, datamodule)]) for each in (model, loaded)
    )
    assert torch.equal(first, second)
    assert first.std() > 0
    assert same(loaded.pseudo_labels.get_extra_state(), method.get_extra_state())
    assert "barred" in method.get_extra_state()


@every_method
def test_a_resumed_training_ends_like_an_uninterrupted_one(method_class, options, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")

    def run(method, **asked):
        model = cnn(method)
        fit(model, callbacks=[EpochSeed()], limit_train_batches=3, **asked).save_checkpoint("last.ckpt")
        return torch.load("last.ckpt", weights_only=True)

    unbroken = run(method_of(method_class, options), max_epochs=2)
    run(method_of(method_class, options), max_epochs=1)
    fresh = method_class(**options)  # its labels come from the checkpoint
    fresh.threshold = ready(method_class(**options), classes=10).threshold
    resumed = run(fresh, max_epochs=2, ckpt_path="last.ckpt")
    assert unbroken["global_step"] == resumed["global_step"] == 6
    kept = [checkpoint["state_dict"].pop("pseudo_labels._extra_state") for checkpoint in (unbroken, resumed)]
    assert same(*kept)
    assert same(unbroken["state_dict"], resumed["state_dict"])


@every_method
def test_bf16_training_is_finite(method_class, options):
    steps = Steps()
    trainer = fit(cnn(method_of(method_class, options)), callbacks=[steps], precision="bf16-mixed")
    assert all(value.isfinite() for value in trainer.callback_metrics.values())
    assert all(gradient.isfinite().all() for step in steps.gradients for gradient in step)
    assert steps.outputs[0]["pseudo_confidence"].dtype == torch.float32


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true", "64-true"])
@pytest.mark.parametrize("method_class", [FixMatch, OnlinePseudoLabels, SoftMixUp])
def test_probabilities_are_aligned_in_every_precision(method_class, precision):
    steps = Steps()
    fit(cnn(method_class(align=True)), callbacks=[steps], precision=precision)
    assert all(outputs["pseudo_confidence"].dtype == torch.float32 for outputs in steps.outputs)


@every_method
def test_training_continues_if_no_sample_is_confident(method_class, options):
    method, steps = method_of(method_class, options), Steps()
    method.bar(torch.ones(2000, dtype=torch.bool))
    method.threshold = 1.0
    model = cnn(method)
    before = [each.clone() for each in model.parameters()]
    trainer = fit(model, callbacks=[steps])
    assert not any(outputs["pseudo_used"].any() for outputs in steps.outputs)
    assert trainer.callback_metrics["train/unlabeled_loss"] == 0
    assert trainer.callback_metrics["train/loss"] == trainer.callback_metrics["train/labeled_loss"]
    assert all(not torch.equal(*each) for each in zip(before, model.parameters(), strict=True))
