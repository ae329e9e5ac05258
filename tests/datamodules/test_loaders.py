import torch

from litzoo.datamodules import MNISTDataModule
from tests.data import builders
from tests.datamodules.recording import record


def test_training_does_not_open_the_test_files(tmp_path):
    builders.write_mnist(tmp_path)
    for file in (tmp_path / "MNIST" / "raw").glob("t10k-*"):
        file.unlink()
    recorder = record(MNISTDataModule(root=str(tmp_path), val_size=0))
    assert len(recorder.column("train", "index")) == 100


def test_testing_does_not_open_the_training_files(tmp_path):
    builders.write_mnist(tmp_path)
    for file in (tmp_path / "MNIST" / "raw").glob("train-*"):
        file.unlink()
    assert len(record(MNISTDataModule(root=str(tmp_path)), "test").column("test", "index")) == 40


def test_the_last_incomplete_batch_is_dropped_in_training_only(tiny_data):
    for drop_last, trained in [(False, [24, 24, 24, 8]), (True, [24, 24, 24])]:
        datamodule = MNISTDataModule(
            root=str(tiny_data), batch_size=24, eval_batch_size=15, val_size=20, drop_last=drop_last
        )
        seen = {**record(datamodule).seen, **record(datamodule, "test").seen, **record(datamodule, "predict").seen}
        sizes = {stage: [len(batch["target"]) for batch in batches] for (stage, _), batches in seen.items()}
        assert sizes == {"train": trained, "val": [15, 5], "test": [15, 15, 10], "predict": [15, 15, 10]}


def test_evaluation_is_in_order(tiny_data):
    datamodule = MNISTDataModule(root=str(tiny_data), val_size=30, eval_batch_size=7)
    assert torch.equal(record(datamodule, "validate").column("val", "index"), datamodule.split.val)
    for stage in ("test", "predict"):
        assert record(datamodule, stage).column(stage, "index").tolist() == list(range(40))


def test_worker_processes_serve_the_same_batches(tiny_data):
    columns = []
    for workers in (0, 2):
        torch.manual_seed(0)
        datamodule = MNISTDataModule(root=str(tiny_data), num_workers=workers, val_size=0, batch_size=16)
        recorder = record(datamodule, epochs=2)
        columns.append(torch.cat([recorder.column("train", "index", epoch) for epoch in (0, 1)]))
    assert torch.equal(*columns)


def test_an_index_names_the_same_sample_whatever_the_sizes(tiny_data):
    images = MNISTDataModule(root=str(tiny_data)).read(train=True)[0]
    for options in ({"val_size": 0}, {"val_size": 20, "train_size": 30, "seed": 5}):
        recorder = record(MNISTDataModule(root=str(tiny_data), scale="unit", **options))
        restored = (recorder.column("train", "input") * 255).round()
        assert torch.equal(restored, images[recorder.column("train", "index")].float())
