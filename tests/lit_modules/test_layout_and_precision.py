import shutil

import pytest
import torch

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import CNNClassifier, MLPClassifier, ResNetClassifier
from tests.training import cpu_trainer

IMAGES = torch.randn(4, 1, 28, 28)


def pair(module, **option):
    """Returns two modules with the same weights, the second with an option."""
    plain, special = module((1, 28, 28), 10).eval(), module((1, 28, 28), 10, **option).eval()
    special.load_state_dict(plain.state_dict())
    return plain, special


@pytest.mark.parametrize("module", [CNNClassifier, ResNetClassifier])
def test_channels_last_changes_the_layout_and_not_the_output(module):
    plain, special = pair(module, channels_last=True)
    cpu_trainer(limit_predict_batches=1).predict(special, DigitsDataModule(eval_batch_size=2))
    assert any(
        weight.ndim == 4 and not weight.is_contiguous() and weight.is_contiguous(memory_format=torch.channels_last)
        for weight in special.net.parameters()
    )
    assert torch.allclose(plain(IMAGES), special(IMAGES), atol=1e-4)


def test_channels_last_takes_flat_inputs_too():
    assert MLPClassifier((5,), 3, channels_last=True)(torch.randn(2, 5)).shape == (2, 3)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("c++")), reason="torch.compile needs a C++ compiler")
def test_compiling_changes_neither_names_nor_output():
    plain, compiled = pair(MLPClassifier, compile=True)
    with torch.inference_mode():
        assert torch.allclose(plain(IMAGES), compiled(IMAGES), atol=1e-4)
    assert list(compiled.state_dict()) == list(plain.state_dict())


def test_compiled_and_plain_modules_share_their_checkpoints():
    plain, compiled = pair(CNNClassifier, compile=True)
    assert list(compiled.state_dict()) == list(plain.state_dict())


def test_bf16_training_learns_and_keeps_its_weights_in_single_precision():
    trainer = cpu_trainer(max_epochs=2, precision="bf16-mixed")
    model = CNNClassifier((1, 28, 28), 10, widths=(8, 16))
    trainer.fit(model, DigitsDataModule(train_size=400, val_size=100, batch_size=20))
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert trainer.callback_metrics["val/acc"] > 0.7
    assert all(value.isfinite() for value in trainer.callback_metrics.values())
