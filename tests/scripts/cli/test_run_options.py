import yaml

from litzoo.scripts.cli.run_options import distinguishing_options
from tests.scripts.helpers import files_in, litzoo, short_fit

CONFIG = """
seed_everything: 3
trainer:
  max_epochs: 5
  accelerator: auto
  default_root_dir: runs
  callbacks:
  - class_path: litzoo.UnknownClassDetector
    init_args: {score: {class_path: litzoo.NearestNeighbors, init_args: {k: 7}}, acceptance: 0.95}
model:
  class_path: litzoo.CNNClassifier
  init_args:
    num_classes: null
    widths: [4, 8]
    dropout: 0.0
    optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.001, momentum: 0.9, nesterov: false}}
data:
  class_path: litzoo.DigitsDataModule
  init_args: {val_size: 0.2, label_noise: {class_path: litzoo.SymmetricNoise, init_args: {rate: 0.4}}}
"""


def test_options_that_differ_from_the_defaults_are_flattened():
    assert distinguishing_options(yaml.safe_load(CONFIG)) == {
        "seed": 3,
        "trainer.max_epochs": 5,
        "callbacks": "UnknownClassDetector",
        "UnknownClassDetector.score": "NearestNeighbors",
        "UnknownClassDetector.score.k": 7,
        "model": "CNNClassifier",
        "model.widths": "[4, 8]",
        "model.optimizer": "SGD",
        "model.optimizer.lr": 0.001,  # the default, but every run has it
        "model.optimizer.momentum": 0.9,
        "data": "DigitsDataModule",
        "data.val_size": 0.2,
        "data.label_noise": "SymmetricNoise",
        "data.label_noise.rate": 0.4,
    }


def test_the_command_logs_the_options_and_predict_leaves_no_event_file():
    cli = short_fit("--data.batch_size=7", "--model.loss=FocalLoss", "--test_after_fit=true")
    options = yaml.safe_load((cli.run_folder / "hparams.yaml").read_text())
    assert (options["data.batch_size"], options["model.loss"]) == (7, "FocalLoss")
    before = files_in(cli.run_folder)
    litzoo("predict", "--config", str(cli.run_folder / "config.yaml"))
    assert files_in(cli.run_folder) - before == {"predictions.csv"}
