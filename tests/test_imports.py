import ast
import subprocess
import sys
from abc import ABC
from importlib import import_module
from pathlib import Path
from typing import Protocol

import pytest
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from torch import nn

import litzoo

ROOT = Path(__file__).parents[1]
ROOMS = ("datamodules", "lit_modules", "callbacks", "scripts")
PLAIN_TORCH = [
    *(f"lit_modules.{name}" for name in ("networks", "losses", "metrics", "semi_supervised")),
    "callbacks.unknown.scores",
]
MIXED = 20
"""Code files that a folder of mixed kinds may hold."""

# What each room may import of this project, beside itself.
MAY_IMPORT = {
    "datamodules": (),
    "lit_modules": ("litzoo.datamodules.batch",),
    "callbacks": ("litzoo.datamodules", "litzoo.lit_modules"),
    "scripts": ("litzoo.datamodules", "litzoo.lit_modules", "litzoo.callbacks"),
}
# Users name these in YAML or Python; each has to be in the `__all__` of its wing.
NAMED = (Callback, LightningDataModule, LightningModule)


def files_of(package):
    return sorted((ROOT / package.replace(".", "/")).rglob("*.py"))


def module_at(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["litzoo", *parts[: -1 if parts[-1] == "__init__" else None]])


def imports_of(source):
    """Lists the dotted names that a file imports, wherever in it."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += ["." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names]
    return names


def within(name, package):
    return name == package or name.startswith(f"{package}.")


def public(nodes, *kinds):
    return [node for node in nodes if isinstance(node, kinds) and not node.name.startswith("_")]


def test_walk_sees_every_form_of_import():
    source = "import a.b\nfrom c import d as e\ndef f():\n    from g.h import i\nfrom .j import k\n"
    assert imports_of(source) == ["a.b", "c.d", ".j.k", "g.h.i"]


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_the_table_allows(room):
    assert files_of(room)
    for file in files_of(room):
        for name in imports_of(file.read_text(encoding="utf-8")):
            assert not name.startswith("."), f"{file}: relative import of {name}"
            if within(name, "litzoo") and not within(name, f"litzoo.{room}"):
                assert any(within(name, allowed) for allowed in MAY_IMPORT[room]), f"{file} imports {name}"


@pytest.mark.parametrize("folder", [*ROOMS, "litzoo", "configs", "tests"])
def test_no_folder_is_imported_by_its_bare_name(folder):
    """From the root of the repository `import callbacks` would make a second module beside `litzoo.callbacks`."""
    for file in files_of(folder):
        for name in imports_of(file.read_text(encoding="utf-8")):
            assert not any(within(name, room) for room in (*ROOMS, "configs")), f"{file} imports {name}"


@pytest.mark.parametrize("package", PLAIN_TORCH)
def test_networks_losses_metrics_and_scores_know_nothing_of_lightning(package):
    assert files_of(package)
    for file in files_of(package):
        for name in imports_of(file.read_text(encoding="utf-8")):
            assert not any(within(name, other) for other in ("lightning", "pytorch_lightning", "lightning_fabric")), (
                f"{file} imports {name}"
            )


def classes_in(room):
    """Returns the public classes that are defined in a room, with their modules."""
    for file in files_of(room):
        module = import_module(module_at(file))
        for name, each in vars(module).items():
            if isinstance(each, type) and each.__module__ == module.__name__ and not name.startswith("_"):
                yield each, module


def is_mixin(each):
    """Whether a Lightning class is a part of others: it is abstract and has no loss or data of its own."""
    return each.__doc__.startswith("Mixin")


def is_named(each):
    """Whether users name a class: a Lightning class, or one of a kind that has an abstract base among the exported."""
    bases = [base for base in each.__mro__[1:] if base.__name__ in vars(import_module("litzoo.callbacks"))]
    kinds = [base for base in each.__mro__ if ABC in base.__bases__ and base.__name__ in dir(litzoo)]
    return issubclass(each, NAMED) or bool(kinds or bases)


@pytest.mark.parametrize("room", ROOMS[:3])
def test_every_class_that_users_name_is_exported_by_its_own_wing(room):
    found = [(each, module) for each, module in classes_in(room) if is_named(each) and not is_mixin(each)]
    assert len(found) > 15
    for each, module in found:
        wing = import_module(module.__name__.rpartition(".")[0])
        assert each.__name__ in wing.__all__, f"{each.__name__} is not exported by {wing.__name__}"
        assert getattr(litzoo, each.__name__) is each


@pytest.mark.parametrize("room", ROOMS[:3])
def test_what_is_exported_is_no_protocol_and_no_helper(room):
    wing = import_module(f"litzoo.{room}")
    assert len(wing.__all__) == len(set(wing.__all__))
    for name in wing.__all__:
        assert not name.startswith("_")
        assert Protocol not in getattr(getattr(wing, name), "__bases__", ()), name


def test_every_loss_is_exported():
    losses = import_module("litzoo.lit_modules.losses")
    found = {each.__name__ for each, _ in classes_in("lit_modules/losses") if issubclass(each, nn.Module)}
    assert len(found) > 10
    assert found == set(losses.__all__)


def ancestry(each):
    """Returns the longest chain of our own classes that a class derives from, itself first."""
    chains = [ancestry(base) for base in each.__bases__ if base.__module__.startswith("litzoo.")]
    return [each.__name__, *max(chains, key=len, default=[])] if Protocol not in each.__bases__ else []


@pytest.mark.parametrize("room", ROOMS[:3])
def test_no_class_has_more_than_three_generations_of_ours(room):
    for each, _ in classes_in(room):
        assert len(ancestry(each)) <= 3, " < ".join(ancestry(each))


def test_no_folder_of_mixed_kinds_is_large():
    for room in (*ROOMS, "litzoo"):
        for folder in {file.parent for file in files_of(room)}:
            assert len(list(folder.glob("*.py"))) <= MIXED, folder


def test_names_are_found_lazily():
    program = "import sys, litzoo; assert 'torch' not in sys.modules; print(litzoo.CNNClassifier, litzoo.__version__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "CNNClassifier" in done.stdout
    with pytest.raises(AttributeError, match="has no attribute 'CNNClasifier'"):
        litzoo.CNNClasifier  # noqa: B018
    assert {"CNNClassifier", "MNISTDataModule", "UnknownClassDetector", "ViM"} <= set(dir(litzoo))


@pytest.mark.parametrize("room", [*ROOMS, "litzoo"])
def test_everything_public_has_a_docstring(room):
    for file in files_of(room):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        classes = public(body, ast.ClassDef)
        methods = [method for owner in classes for method in public(owner.body, ast.FunctionDef)]
        for node in [*classes, *methods, *public(body, ast.FunctionDef)]:
            assert ast.get_docstring(node), f"{file}:{node.lineno} {node.name} has no docstring"
