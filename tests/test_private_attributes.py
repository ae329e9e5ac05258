"""Private names of other libraries: those that are used stand in CONTRIBUTING.md, and still exist."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import torch
import torchvision
from lightning.pytorch.callbacks import ModelCheckpoint, Timer, TQDMProgressBar, WeightAveraging
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loops import evaluation_loop, fit_loop, training_epoch_loop
from torch.nn.modules import batchnorm
from torchvision.transforms import v2

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| `([\w/]+\.py)` \| `(\w+)` of `([\w.]+)` \| (.+) \|$", re.MULTILINE)
LISTED = ROW.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
FILES = [
    path
    for room in ("callbacks", "datamodules", "lit_modules", "scripts", "litzoo")
    for path in (ROOT / room).rglob("*.py")
]
PUBLIC = {"_asdict", "_replace", "_exit"}
"""Documented names, of named tuples and of `os`."""
OWNERS = {
    "ModelCheckpoint": ModelCheckpoint,
    "TQDMProgressBar": TQDMProgressBar,
    "Timer": Timer,
    "WeightAveraging": WeightAveraging,
    "LightningCLI": LightningCLI,
    "_FitLoop": fit_loop._FitLoop,
    "_EvaluationLoop": evaluation_loop._EvaluationLoop,
    "_TrainingEpochLoop": training_epoch_loop._TrainingEpochLoop,
    "batchnorm": batchnorm,
    "torch": torch,
    "mkldnn": torch.ops.mkldnn,
    "models": torchvision.models,
    "RandAugment": v2.RandAugment,
    "AugMix": v2.AugMix,
    "AutoAugment": v2.AutoAugment(),
}


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined_in(tree):
    """Names that a file defines: functions, classes, variables and attributes of `self`."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def used_in(tree):
    """Private names that a file reads, imports from elsewhere, or sets on an object."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("litzoo"):
            yield from filter(is_private, [*(node.module or "").split("."), *(alias.name for alias in node.names)])


TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
THEIRS = {name for _, name, _, _ in LISTED}
OURS = {name for tree in TREES.values() for name in defined_in(tree)} - THEIRS


def test_every_private_name_that_is_used_is_listed():
    used = {(path, name) for path, tree in TREES.items() for name in used_in(tree) if name not in OURS | PUBLIC}
    assert used == {(path, name) for path, name, _, _ in LISTED}


@pytest.mark.parametrize(("name", "owner"), sorted({(name, owner) for _, name, owner, _ in LISTED}))
def test_it_still_exists(name, owner):
    holder = OWNERS[owner.split(".")[-1]]
    in_source = inspect.isclass(holder) and any(
        re.search(rf"self\.{name}\b", inspect.getsource(base)) for base in holder.__mro__[:-1]
    )
    assert hasattr(holder, name) or in_source


def test_there_are_reasons():
    assert len(LISTED) > 5
    assert all(len(reason) > 20 for *_, reason in LISTED)
