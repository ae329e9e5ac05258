"""`--trainer.overfit_batches`, and batches of one sample."""

from types import SimpleNamespace

import pytest
import torch

from litzoo.datamodules import DigitsDataModule, ImageFolderDataModule
from litzoo.lit_modules import CNNClassifier, TransferClassifier
from tests.datamodules.recording import record
from tests.training import cpu_trainer


def test_overfitting_uses_mixed_batches_of_class_folders(tiny_data):
    recorder = record(
        ImageFolderDataModule(tiny_data / "cifar10", root=str(tiny_data), batch_size=16),
        epochs=2,
        trainer={"overfit_batches": 1},
    )
    first, second = (recorder.column("train", "target", epoch) for epoch in (0, 1))
    assert first.tolist() == second.tolist()
    assert len(set(first.tolist())) > 1


@pytest.mark.parametrize("sampling", ["shuffle", "weighted", "balanced"])
def test_one_sample_more_than_whole_batches_trains_with_batch_norm(sampling):
    datamodule = DigitsDataModule(train_size=33, val_size=20, batch_size=16, sampling=sampling)
    model = TransferClassifier((1, 28, 28), 10, network="resnet18")
    trainer = cpu_trainer(limit_val_batches=0)
    trainer.fit(model, datamodule)
    assert trainer.global_step == 2


@pytest.mark.parametrize(("batch_norm", "steps"), [(False, 3), (True, 2)])
def test_a_last_batch_of_one_sample_is_kept_without_batch_norm(batch_norm, steps):
    datamodule = DigitsDataModule(train_size=33, val_size=20, batch_size=16)
    model = CNNClassifier((1, 28, 28), 10, widths=[4], batch_norm=batch_norm)
    trainer = cpu_trainer(limit_val_batches=0)
    trainer.fit(model, datamodule)
    assert trainer.global_step == steps


@pytest.mark.parametrize(("synchronized", "batches"), [(False, 1), (True, 2)])
def test_synchronized_batch_norm_counts_the_samples_of_all_processes(synchronized, batches):
    datamodule = DigitsDataModule(train_size=66, val_size=20, batch_size=32)
    datamodule.setup("fit")
    net = torch.nn.BatchNorm1d(3)
    module = torch.nn.SyncBatchNorm.convert_sync_batchnorm(net) if synchronized else net
    datamodule.trainer = SimpleNamespace(lightning_module=module, world_size=2, global_rank=1)
    assert len(datamodule.train_batches()) == batches
