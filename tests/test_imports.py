import ast
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("datamodules", "lit_modules", "callbacks", "scripts")
PLAIN_TORCH = [
    *(f"lit_modules.{name}" for name in ("networks", "losses", "metrics", "pseudo_labels")),
    "callbacks.unknown_scores",
]

# What each room may import of this project, beside itself.
MAY_IMPORT = {
    "datamodules": (),
    "lit_modules": ("datamodules.batch",),
    "callbacks": ("datamodules.batch", "lit_modules.checkpoint_files", "lit_modules.metrics"),
    "scripts": ("datamodules", "lit_modules", "callbacks"),
}


def files_of(package):
    return sorted((ROOT / package.replace(".", "/")).rglob("*.py"))


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
            if any(within(name, other) for other in (*ROOMS, "tests")) and not within(name, room):
                assert any(within(name, allowed) for allowed in MAY_IMPORT[room]), f"{file} imports {name}"


@pytest.mark.parametrize("package", PLAIN_TORCH)
def test_networks_losses_and_metrics_know_nothing_of_lightning(package):
    assert files_of(package)
    for file in files_of(package):
        for name in imports_of(file.read_text(encoding="utf-8")):
            assert not any(within(name, other) for other in ("lightning", "pytorch_lightning", "lightning_fabric")), (
                f"{file} imports {name}"
            )


@pytest.mark.parametrize("package", ["datamodules", "lit_modules", "callbacks", *PLAIN_TORCH])
def test_every_public_class_is_re_exported(package):
    module = import_module(package)
    assert sorted(module.__all__) == sorted(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)
    defined = {
        node.name: file.name
        for file in (ROOT / package.replace(".", "/")).glob("*.py")
        for node in public(ast.parse(file.read_text(encoding="utf-8")).body, ast.ClassDef)
    }
    assert defined
    missing = {name: file for name, file in defined.items() if name not in module.__all__}
    assert not missing


@pytest.mark.parametrize("room", ROOMS)
def test_everything_public_has_a_docstring(room):
    for file in files_of(room):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        classes = public(body, ast.ClassDef)
        methods = [method for owner in classes for method in public(owner.body, ast.FunctionDef)]
        for node in [*classes, *methods, *public(body, ast.FunctionDef)]:
            assert ast.get_docstring(node), f"{file}:{node.lineno} {node.name} has no docstring"
