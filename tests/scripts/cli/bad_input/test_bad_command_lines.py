import itertools

import pytest

from tests.scripts.helpers import CONFIGS, MLP, QUIET, SHORT

FIT = ["fit", *QUIET, *MLP, *SHORT]
MNIST = ["fit", *QUIET, "--config", str(CONFIGS / "mnist_mlp.yaml")]
LARGE = 10_000_000
TABLE_OF_WORDS = {
    "nothing at all": ([], ["subcommand", "fit", "validate", "test", "predict"]),
    "empty sub-command": ([""], ["''", "fit", "validate", "test", "predict"]),
    "stray word": ([*FIT, "stray"], ["stray"]),
    "option without a value": ([*FIT, "--data.batch_size"], ["--data.batch_size", "no value"]),
    "option before another": ([*FIT, "--data.batch_size", "--data.seed=1"], ["--data.batch_size", "no value"]),
    "config without a value": (["fit", "--config"], ["--config", "expected one argument"]),
    "key twice": (
        [*FIT, "--data.train_size={per_class: 5, per_class: 6}"],
        ["--data.train_size", "'per_class'", "twice"],
    ),
    "bytes that are no text": ([*FIT, "--data.augment=\udcff"], ["--data.augment", "udcff", "UTF-8"]),
    "option that is no text": ([*FIT, "--\udcff=1"], ["udcff", "UTF-8"]),
    "NUL in a path": ([*FIT, "--ckpt_path=a\0b"], ["--ckpt_path", "x00", "UTF-8"]),
    "empty number": ([*FIT, "--data.batch_size="], ["--data.batch_size", "int", "nothing"]),
    "empty class": ([*FIT, "--model="], ["--model", "a class, by its path or name", "nothing"]),
    "empty config": (["fit", "--config="], ["--config ''", "YAML file"]),
    "empty checkpoint": ([*FIT, "--ckpt_path="], ["--ckpt_path", "no such file"]),
    "empty root": ([*MNIST, "--data.root="], ["data.root", "''", "name one"]),
    "empty folder of runs": ([*FIT, "--trainer.default_root_dir="], ["--trainer.default_root_dir", "''", "runs"]),
    "list for a number": ([*FIT, "--data.batch_size=[1,2]"], ["--data.batch_size", "[1, 2]", "int"]),
    "mapping for a number": ([*FIT, "--trainer.max_epochs={a: 1}"], ["--trainer.max_epochs", "{'a': 1}", "int"]),
    "word for a list": ([*FIT, "--model.hidden=3x"], ["--model.hidden", "3x", "Expected a list"]),
    "option of the optimizer": ([*FIT, "--model.lr=0.1"], ["--model", "'lr'", "Nearest: optimizer.lr"]),
    "numeric key of an unknown option": (
        [*FIT, "--data.imbalance=ClassCounts", "--data.imbalance.sizez={1: 2}"],
        ["--data.imbalance", "'sizez' is not accepted", "Nearest: sizes"],
    ),
    "numeric key of an unknown option of the optimizer": (
        [*FIT, "--model.optimizer.weight_dekay={1: 2}"],
        ["--model.optimizer", "'weight_dekay' is not accepted", "Nearest: weight_decay"],
    ),
    **{
        f"option of a callback, {words[0]} {words[-1]}": (
            [*FIT, f"{words[0]}=GradualUnfreezing", f"--trainer.callbacks.unfreez_at={words[-1]}"],
            ["--trainer.callbacks", "'unfreez_at' is not accepted", "Nearest: unfreeze_at", "Add --debug"],
        )
        for words in itertools.product(["--trainer.callbacks", "--trainer.callbacks+"], ["3", "{1: 2}"])
    },
    "numeric key without a space": (
        [*FIT, "--trainer.callbacks+=GradualUnfreezing", "--trainer.callbacks.unfreeze_at={1:2}"],
        ["--trainer.callbacks", "space after the colon", "{1: 2}"],
    ),
    "noise of no kind": (
        [*FIT, "--data.label_noise.rate=0.4"],
        ["--data.label_noise", "LabelNoise is abstract", "SymmetricNoise"],
    ),
    "callback without its score": (
        [*FIT, "--trainer.callbacks+=UnknownClassDetector"],
        ["--trainer.callbacks", "UnknownClassDetector needs score"],
    ),
    "fraction for a count": ([*FIT, "--data.batch_size=2.5"], ["--data.batch_size", "2.5", "int"]),
    "learning rate that is a word": ([*FIT, "--model.optimizer.lr=nan"], ["--model.optimizer.lr", "nan", "float"]),
    "learning rate below 0": (
        [*FIT, "--model.optimizer.lr=-1"],
        ["model.optimizer", "learning rate", "-1", "change that option"],
    ),
    "learning rate without end": (
        [*FIT, "--model.optimizer.lr=1e400"],
        ["loss is not finite", "Lower the learning rate"],
    ),
    "weight decay that is NaN": (
        [*FIT, "--model.optimizer={class_path: torch.optim.AdamW, init_args: {weight_decay: .nan}}"],
        ["model.optimizer", "weight_decay", "nan"],
    ),
    "validation that is NaN": ([*FIT, "--data.val_size=.nan"], ["val_size", "nan", "[0, 1]"]),
    "training without end": ([*FIT, "--data.train_size=.inf"], ["train_size", "inf", "[0, 1]"]),
    "labels below 0": ([*FIT, "--data.num_labeled=-1"], ["num_labeled", "-1", "at most 1294"]),
    "seed of the split": ([*FIT, f"--data.seed={10**20}"], ["data.seed", "too large", "4294967296"]),
    "seed below 0": ([*FIT, "--seed_everything=-1"], ["--seed_everything", "-1", "4294967295"]),
    "endless training with a schedule": (
        [*FIT, "--trainer.max_epochs=-1"],
        ["model.scheduler", "--trainer.max_epochs", "--trainer.max_steps"],
    ),
    "epochs below -1": ([*FIT, "--trainer.max_epochs=-5"], ["--trainer.max_epochs", "-5", "at least -1", "no limit"]),
    "clipping below 0": ([*FIT, "--trainer.gradient_clip_val=-1"], ["--trainer.gradient_clip_val", "-1", "at least 0"]),
    "clipping at NaN": (
        [*FIT, "--trainer.gradient_clip_val=.nan"],
        ["--trainer.gradient_clip_val", "nan", "at least 0"],
    ),
    "no batch to accumulate": (
        [*FIT, "--trainer.accumulate_grad_batches=0"],
        ["--trainer.accumulate_grad_batches", "0", "at least 1"],
    ),
    "validation every 0 epochs": (
        [*FIT, "--trainer.check_val_every_n_epoch=0"],
        ["--trainer.check_val_every_n_epoch", "0", "at least 1"],
    ),
    "batches below 0": ([*FIT, "--trainer.limit_val_batches=-3"], ["--trainer.limit_val_batches", "-3", "at least 0"]),
    "device that is not there": ([*FIT, "--trainer.devices=[7]"], ["devices", "int > 0"]),
    "too many processes": ([*FIT, "--trainer.devices=9999"], ["--trainer.devices", "9999", "at most"]),
    "node without others": ([*FIT, "--trainer.num_nodes=2"], ["--trainer.num_nodes", "2", "torchrun", "MASTER_ADDR"]),
    "time that is none": ([*FIT, "--trainer.max_time=long"], ["'long'", "DD:HH:MM:SS"]),
    "logger that is none": (
        [*FIT, "--trainer.logger=nonsense"],
        ["--trainer.logger", "nonsense", "a class, by its path"],
    ),
    "callbacks that are a number": ([*FIT, "--trainer.callbacks=3"], ["--trainer.callbacks", "3", "list"]),
    "more memory than there is": ([*FIT, f"--model.hidden=[{10**11}]"], ["out of memory", "292,063 GiB", "widths"]),
}


@pytest.mark.parametrize(("arguments", "words"), TABLE_OF_WORDS.values(), ids=TABLE_OF_WORDS)
def test_words_are_refused_in_a_few_lines_that_name_them(arguments, words, refused):
    refused(arguments, words)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../up",
        "a/../../b",
        "/tmp/absolute",
        "a//b",
        "a/",
        "a\\b",
        "a\nb",
        " ",
        "x" * 300,
        "version_0",
        "mnist_cnn/version_0/checkpoints",
    ],
)
def test_name_that_leads_out_of_the_folder_of_runs_or_into_a_run_is_refused(name, refused):
    refused([*FIT, "--experiment", name], ["--experiment", "mnist_cnn", "at most 200 bytes"])


def test_a_class_that_is_not_installed_is_refused_in_its_own_words(refused):
    error = refused([*FIT, "--trainer.logger", "CometLogger"], ["comet"])
    assert "Expected a" not in error
