import json
import math
import os
from pathlib import Path

import pytest
import torch

from tests.data.broken import cut, fill, link_to, make_folder, make_pipe, zero
from tests.scripts.helpers import MLP, QUIET, litzoo

RESUME = ["--ckpt_path=last", "--trainer.max_epochs=3"]
TRAINING = ("callbacks", "epoch", "global_step", "loops", "lr_schedulers", "optimizer_states")


def change(edit):
    """Loads a checkpoint, edits it, and saves it."""

    def damage(path):
        content = torch.load(path, weights_only=True)
        edit(content)
        torch.save(content, path)

    return damage


def put_part(name, value):
    return change(lambda content: content.update({name: value}))


def put_weight(make):
    def edit(content):
        name = next(name for name in content["state_dict"] if name.endswith(".weight"))
        content["state_dict"][name] = make(content["state_dict"][name])

    return change(edit)


def with_nan(weight):
    return torch.full_like(weight, math.nan)


# What is done to `best.ckpt` -> what the message must name beside it, when it is tested.
TABLE_OF_DAMAGES = {
    "no bytes": (cut(0), ["damaged", "another file"]),
    "one byte": (cut(1), ["damaged", "another file"]),
    "cut in the first header": (cut(30), ["damaged", "another file"]),
    "cut in the pickle": (cut(1000), ["damaged", "another file"]),
    "cut in the weights": (cut(50_000), ["damaged", "another file"]),
    "cut in the index": (cut(-1000), ["damaged", "another file"]),
    "cut in the last record": (cut(-22), ["damaged", "another file"]),
    "last byte": (cut(-1), ["damaged", "another file"]),
    "zeros in the weights": (zero(0.5), ["damaged", "checksum", "another file"]),
    "zeros at the start": (zero(0.0), ["damaged", "another file"]),
    "a folder": (make_folder, ["no run in runs/digits_mlp has a checkpoints/best.ckpt", "litzoo fit"]),
    "a pipe": (make_pipe, ["no run in runs/digits_mlp has a checkpoints/best.ckpt", "litzoo fit"]),
    "a link to nothing": (link_to("gone.ckpt"), ["no run in runs/digits_mlp has a checkpoints/best.ckpt"]),
    "a link to itself": (link_to("best.ckpt"), ["no run in runs/digits_mlp has a checkpoints/best.ckpt"]),
    "another library's": (fill(b"\x89HDF\r\n\x1a\n" + bytes(1000)), ["no checkpoint", "another file"]),
    "a module as a whole": (lambda path: torch.save(torch.nn.Linear(1, 1), path), ["no checkpoint", "another file"]),
    "no weights": (put_part("state_dict", {}), ["another architecture", "missing", "config.yaml"]),
    "a list of weights": (put_part("state_dict", [1]), ["state_dict is no dict", "another file"]),
    "weights without names": (put_part("state_dict", {1: torch.zeros(1)}), ["no names", "another file"]),
    "a weight that is a word": (put_weight(lambda weight: "word"), ["net.", "str", "config.yaml"]),
    "a weight of whole numbers": (put_weight(lambda weight: weight.int()), ["net.", "torch.int32", "torch.float32"]),
    "a weight of complex numbers": (
        put_weight(lambda weight: weight.cfloat()),
        ["net.", "torch.complex64", "torch.float32"],
    ),
    "loops that are a number": (put_part("loops", 3), ["loops is no dict", "another file"]),
    "callbacks that are a list": (put_part("callbacks", [1]), ["callbacks is no dict", "another file"]),
    "a callback without state": (put_part("callbacks", {"EpochSeed": 3}), ["callback", "another file"]),
    "options that are a number": (put_part("hyper_parameters", 3), ["hyper_parameters is no dict", "another file"]),
    "a version that is a number": (put_part("pytorch-lightning_version", 3), ["version is no str", "another file"]),
}


@pytest.mark.parametrize(("damage", "words"), TABLE_OF_DAMAGES.values(), ids=TABLE_OF_DAMAGES)
def test_damaged_checkpoint_is_refused_before_anything_is_built(damage, words, trained, refused):
    damage(trained / "checkpoints" / "best.ckpt")
    refused(["test", *QUIET, *MLP], ["--ckpt_path", "best.ckpt", *words])


@pytest.mark.parametrize("part", TRAINING)
def test_training_does_not_go_on_from_a_checkpoint_without_one_of_its_parts(part, trained, refused):
    change(lambda content: content.pop(part))(trained / "checkpoints" / "last.ckpt")
    refused(["fit", *QUIET, *MLP, *RESUME], ["--ckpt_path", "last.ckpt", f"no {part}", "litzoo test"])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut(100), ["damaged", "another file"]),
        (put_weight(with_nan), ["net.", "not finite", "earlier checkpoint"]),
        (link_to("gone.ckpt"), ["no run", "litzoo fit"]),
    ],
    ids=["cut", "NaN", "link to nothing"],
)
def test_training_does_not_go_on_from_a_damaged_checkpoint(damage, words, trained, refused):
    damage(trained / "checkpoints" / "last.ckpt")
    refused(["fit", *QUIET, *MLP, *RESUME], ["--ckpt_path", "last", *words])


def test_weights_that_are_not_finite_are_told_when_they_are_tested(trained):
    put_weight(with_nan)(trained / "checkpoints" / "best.ckpt")
    with pytest.warns(UserWarning, match=r"best\.ckpt: net\..* not finite"):
        litzoo("test", *MLP)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_weights_of_another_precision_are_no_damage(dtype, trained):
    put_weight(lambda weight: weight.to(dtype))(trained / "checkpoints" / "best.ckpt")
    litzoo("predict", *MLP)


def test_damaged_files_of_a_run_are_told_and_written_anew(trained):
    (trained / "metrics.json").write_text("{")
    (trained / "splits.json").write_text("[]")
    with (
        pytest.warns(UserWarning, match=r"metrics\.json is damaged"),
        pytest.warns(UserWarning, match=r"splits\.json is"),
    ):
        litzoo("test", *MLP)
    assert json.loads((trained / "metrics.json").read_text())["test/acc"] > 0
    assert json.loads((trained / "splits.json").read_text())["sizes"]["test"] == 359


def test_folders_with_strange_names_are_passed_over(trained):
    for name in ("version_²", "version_", "version_1_old"):
        (trained.parent / name / "checkpoints").mkdir(parents=True)
        os.link(trained / "checkpoints" / "best.ckpt", trained.parent / name / "checkpoints" / "best.ckpt")
    assert Path(litzoo("predict", *MLP).options.ckpt_path) == Path("runs/digits_mlp/version_0/checkpoints/best.ckpt")
