"""Mixed precision on CPUs with and without instructions for it."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import CPUAccelerator

from litzoo.datamodules import DigitsDataModule
from litzoo.lit_modules import MLPClassifier, mixed_precision
from litzoo.lit_modules.mixed_precision import emulates_bf16, slow_on_this_cpu
from litzoo.scripts.predict import Predictor
from tests.scripts.helpers import MLP, SHORT, litzoo

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}


@pytest.fixture(params=[True, False], ids=["emulated", "in hardware"])
def emulated(request, monkeypatch):
    """Lets PyTorch say that this CPU has no instructions for bf16, or that it has them."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: not request.param)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    return request.param


def test_the_processor_s_own_flags_say_the_same():
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if "avx2" not in flags:
        pytest.skip("reads the flags that Linux shows of x86 processors")
    assert emulates_bf16() == ("avx512bw" not in flags)


@pytest.mark.parametrize(
    ("precision", "accelerator", "slow"),
    [
        ("bf16-mixed", "cpu", True),
        ("16-mixed", CPUAccelerator(), True),
        ("bf16", "cpu", True),
        (16, "cpu", True),
        ("32-true", "cpu", False),
        (None, "cpu", False),
        ("bf16-mixed", "cuda", False),
        ("bf16-mixed", "mps", False),
    ],
)
def test_only_mixed_precision_on_such_a_cpu_is_slow(emulated, precision, accelerator, slow):
    assert slow_on_this_cpu(precision, accelerator) == (slow and emulated)


@pytest.mark.parametrize("found", [True, False])
def test_the_automatic_accelerator_is_the_cpu_where_there_is_nothing_else(found, monkeypatch):
    monkeypatch.setattr(mixed_precision, "emulates_bf16", lambda: True)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: found)
    assert slow_on_this_cpu("bf16-mixed", "auto") is not found


def test_the_command_trains_with_32_bits_there_and_the_config_stays(emulated, caplog):
    with caplog.at_level("INFO"):
        cli = litzoo("fit", *MLP, *SHORT, "--trainer.precision", "bf16-mixed")
    told = "trainer.precision: 32-true instead of bf16-mixed, since this CPU has no instructions for bf16"
    assert (told in caplog.text) == emulated
    record = json.loads((cli.run_folder / "run.json").read_text())
    assert record["precision"] == ("32-true" if emulated else "bf16-mixed")
    assert "precision: bf16-mixed" in (cli.run_folder / "config.yaml").read_text()


def test_a_python_user_is_warned(emulated):
    trainer = Trainer(accelerator="cpu", precision="bf16-mixed", fast_dev_run=1, **QUIET)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(MLPClassifier((1, 28, 28), 10), DigitsDataModule())
        Predictor.load(saved(trainer), device="cpu", precision="bf16-mixed")
    messages = [str(each.message) for each in caught]
    for start in ("trainer.precision: bf16-mixed is slower than 32-true", "precision: bf16-mixed is slower"):
        assert any(message.startswith(start) for message in messages) == emulated


def saved(trainer):
    """Saves a checkpoint."""
    trainer.save_checkpoint("a.ckpt")
    return "a.ckpt"
