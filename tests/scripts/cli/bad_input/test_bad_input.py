import sys
from pathlib import Path

import pytest

from tests.data import builders
from tests.scripts.helpers import CONFIGS, MLP, QUIET, TABLE

MNIST = ["--config", str(CONFIGS / "mnist_mlp.yaml")]
HOUSING = ["--config", str(CONFIGS / "california_housing.yaml")]
CIFAR = ["--config", str(CONFIGS / "cifar10_resnet18.yaml")]
CNN = ["--config", str(CONFIGS / "digits_cnn.yaml")]
ABSENT = "cuda" if sys.platform == "darwin" else "mps"
LOSS = "--model.loss=torch.nn.CrossEntropyLoss"
ONE_CALLBACK = "--trainer.callbacks=[{{class_path: {}}}]"
DETECTOR = ONE_CALLBACK.replace("{}", "UnknownClassDetector, init_args: {{score: {{class_path: {}}}}}")

# What is asked -> what the message must name: option, value, what it takes, the nearest names.
TABLE_OF_MISTAKES = {
    "unknown option": ([*MLP, "--modl=3"], ["--modl", "--model"]),
    "unknown trainer option": ([*MLP, "--trainer.max_epohcs=3"], ["--trainer.max_epohcs", "max_epochs"]),
    "unknown data option": ([*MLP, "--data.batchsize=3"], ["--data", "batchsize", "batch_size"]),
    "unknown model option": ([*MLP, "--model.hiden=[3]"], ["--model", "hiden", "hidden"]),
    "unknown loss option": ([*MLP, LOSS, "--model.loss.smoothing=0.1"], ["--model.loss", "smoothing", "label_smooth"]),
    "unknown optimizer option": (
        [*MLP, "--model.optimizer.weightdecay=1"],
        ["--model.optimizer", "weightdecay", "weight_decay"],
    ),
    "unknown sub-command": (None, ["train", "fit", "validate", "test", "predict"]),
    "wrong data class": (
        [*MLP, "--data=DigitDataModule"],
        ["--data", "DigitDataModule", "DigitsDataModule"],
    ),
    "wrong model class": ([*MLP, "--model=lit_modules.MLPClasifier"], ["--model", "MLPClasifier", "MLPClassifier"]),
    "wrong package": (
        [*MLP, "--model=lit_module.MLPClassifier"],
        ["--model", "lit_module", "MLPClassifier"],
    ),
    "class of another kind": (
        [*MLP, "--model=DigitsDataModule"],
        ["--model", "DigitsDataModule", "LightningModule"],
    ),
    "wrong callback": ([*MLP, ONE_CALLBACK.format("RunSumary")], ["--trainer.callbacks", "RunSumary", "RunSummary"]),
    "wrong score": (
        [*MLP, DETECTOR.format("MaxLogits")],
        ["--trainer.callbacks.score", "MaxLogits", "MaxLogit"],
    ),
    "unknown score option": (
        [*MLP, DETECTOR.format("Energy, init_args: {temprature: 2}")],
        ["--trainer.callbacks.score", "temprature", "temperature"],
    ),
    "wrong loss": (
        [*MLP, "--model.loss=torch.nn.CrosEntropyLoss"],
        ["--model.loss", "CrosEntropyLoss", "CrossEntropyLoss"],
    ),
    "wrong optimizer": ([*MLP, "--model.optimizer=torch.optim.AdmW"], ["--model.optimizer", "AdmW", "AdamW"]),
    "text for a number": ([*MLP, "--data.batch_size=many"], ["--data.batch_size", "many", "int"]),
    "none of the choices": (
        [*MLP, "--data.augment=rotate"],
        ["--data.augment", "rotate", "shift", "crop_flip", "affine"],
    ),
    "depth that is not there": ([*CIFAR, "--model.depth=20"], ["--model.depth", "20", "18, 34, 50"]),
    "precision": ([*MLP, "--trainer.precision=3"], ["--trainer.precision", "Got value: 3", "bf16"]),
    "batch size 0": ([*MLP, "--data.batch_size=0"], ["batch_size", "0", "at least 1"]),
    "negative seed": ([*MLP, "--data.seed=-1"], ["data.seed", "-1", "at least 0"]),
    "validation too large": ([*MLP, "--data.val_size=5000"], ["val_size", "5000", "1438"]),
    "validation above 1": ([*MLP, "--data.val_size=1.5"], ["val_size", "1.5", "[0, 1]"]),
    "training too large": ([*MLP, "--data.train_size=9999"], ["train_size", "9999", "1294"]),
    "nothing to train on": ([*MLP, "--data.train_size=0"], ["train_size", "0", "1438"]),
    "images too small": ([*CNN, "--model.widths=[8,8,8,8,8]"], ["widths", "5", "28×28", "at most 4"]),
    "dropout above 1": ([*MLP, "--model.dropout=1.5"], ["dropout", "1.5", "between 0 and 1"]),
    "patience below 0": (
        [*TABLE, "--trainer.callbacks=[{class_path: BestWeightsEarlyStopping, init_args: {patience: -1}}]"],
        ["patience", "-1"],
    ),
    "metric that is not logged": (
        [*MLP, "--checkpoint.monitor=val/accuracy"],
        ["checkpoint", "monitor", "val/accuracy", "val/acc", "val/loss"],
    ),
    "images and a regressor": ([*MLP, "--model=Regressor"], ["DigitsDataModule", "Regressor", "go with"]),
    "a table and a classifier": ([*TABLE, "--model=MLPClassifier"], ["DiabetesDataModule", "MLPClassifier", "go with"]),
    "no data": (["--model=MLPClassifier"], ["required", "data"]),
    "no model": (["--data=DigitsDataModule"], ["required", "model"]),
    "no such accelerator": ([*MLP, "--trainer.accelerator=quantum"], ["accelerator", "quantum", "cpu", "cuda"]),
    "absent accelerator": ([*MLP, f"--trainer.accelerator={ABSENT}"], ["accelerator", ABSENT.upper(), "cpu"]),
    "no device at all": ([*MLP, "--trainer.devices=0"], ["devices", "0", "cpu"]),
    "no such strategy": ([*MLP, "--trainer.strategy=nonsense"], ["strategy", "nonsense", "ddp"]),
    "absent data": ([*MNIST, "--data.root=none"], ["none/MNIST", "absent", "--data.root", "LITZOO_DATA_DIR"]),
    "truncated images": ([*MNIST, "--data.root=short"], ["train-images-idx3-ubyte", "truncated", "remove"]),
    "foreign images": ([*MNIST, "--data.root=foreign"], ["train-images-idx3-ubyte", "not a file of this", "remove"]),
    "empty images": ([*MNIST, "--data.root=empty"], ["train-images-idx3-ubyte", "remove"]),
    "missing labels": ([*MNIST, "--data.root=partly"], ["train-labels-idx1-ubyte", "absent", "remove"]),
    "foreign CIFAR": ([*CIFAR, "--data.root=short"], ["cifar-10-batches-py", "CIFAR-10", "remove"]),
    "no such CSV": (
        [*HOUSING, "--data.root=none", "--data.file=no.csv"],
        ["none/no.csv", "data.root", "LITZOO_DATA_DIR"],
    ),
    "CSV without target": ([*HOUSING, "--data.root=."], ["median_house_value", "no column", "rooms, price"]),
    "CSV with text in the target": (
        [*HOUSING, "--data.root=.", "--data.target=price"],
        ["california_housing.csv", "'price'", "not a number"],
    ),
}


@pytest.fixture
def broken_data(monkeypatch):
    """Files that are wrong in the usual ways, and no way to the network."""
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    for root in ("short", "foreign", "empty", "partly"):
        builders.write_mnist(Path(root))
    builders.write_cifar10(Path("short"))
    images = "MNIST/raw/train-images-idx3-ubyte"
    Path("short", images).write_bytes(Path("short", images).read_bytes()[:-10])
    Path("foreign", images).write_bytes(b"<html>404 Not Found</html>")
    Path("empty", images).write_bytes(b"")
    Path("partly/MNIST/raw/train-labels-idx1-ubyte").unlink()
    Path("california_housing.csv").write_text("rooms,price\n1,12\n2,dear\n3,30\n")


@pytest.mark.parametrize(("arguments", "words"), TABLE_OF_MISTAKES.values(), ids=TABLE_OF_MISTAKES)
@pytest.mark.usefixtures("broken_data")
def test_mistake_is_refused_in_a_few_lines_that_name_it(arguments, words, refused):
    # Of two equal options the last one counts, so that a case can ask for an accelerator of its own.
    refused(["train", *MLP] if arguments is None else ["fit", *QUIET, *arguments], words)
