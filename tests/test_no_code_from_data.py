"""Nothing that is read from a file is run: what the packages call is looked at, here; that it holds, in the tests."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUNS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "np.load", "numpy.load", "torch.jit.load"}
RUNS |= {"yaml.load", "yaml.full_load", "yaml.unsafe_load", "runpy.run_path", "torch.hub.load"}
PICKLES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
LOADS = {"load", "load_checkpoint", "load_from_checkpoint", "load_state_dict_from_url"}
MAY = {
    "datamodules/io/decoding.py": ["file.load"],  # Pillow decodes the pixels
    "scripts/benchmarks/calibration.py": ["Predictor.load"],
    "scripts/benchmarks/intervals.py": ["Predictor.load"],
    "scripts/benchmarks/deployment.py": ["torch.export.load"],  # of the program that it has just exported
    "scripts/benchmarks/unknown/scores.py": ["Predictor.load"],
    "scripts/benchmarks/wrong_labels/trainings.py": ["np.load", "np.load"],  # which refuses pickles by default
    "scripts/export/command.py": ["Predictor.load"],  # reads weights only
    "scripts/predict/command.py": ["Predictor.load"],
    "scripts/web/command.py": ["Predictor.load"],
    "scripts/web/page.py": ["app.load"],  # gradio: when the page opens
    "datamodules/splits/human_noise.py": ["pickle"],  # the name of an exception alone
    "datamodules/images/cifar.py": ["pickle", "pickle.load"],  # of files whose checksums are right
    "lit_modules/base.py": ["super().load_from_checkpoint"],  # as its caller asks
}


def could_run_code(source):
    """Names what in a source could run code that a file brings."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            found += [name for name in names if name.split(".")[0] in PICKLES]
        elif isinstance(node, ast.Call):
            name, plain = ast.unparse(node.func), ("weights_only", "True")
            options = [(each.arg, ast.unparse(each.value)) for each in node.keywords]
            shell = ("shell", "True") in options
            if name in RUNS or shell or (name.split(".")[-1] in LOADS and "." in name and plain not in options):
                found.append(name)
    return found


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import pickle\nfrom dill import loads", ["pickle", "dill"]),
        ("torch.load(path)\ntorch.load(path, weights_only=None)", ["torch.load"] * 2),
        ("a.B.load_from_checkpoint(path, weights_only=False)", ["a.B.load_from_checkpoint"]),
        ("torch.load(path, weights_only=True)\nyaml.safe_load(text)\nmodel.eval()", []),
        ("yaml.load(text)\nnp.load(p, allow_pickle=True)\neval(x)", ["yaml.load", "np.load", "eval"]),
        ("subprocess.run(command, shell=True)", ["subprocess.run"]),
    ],
)
def test_walk_sees_every_form(source, names):
    assert could_run_code(source) == names


@pytest.mark.parametrize("room", ["callbacks", "datamodules", "lit_modules", "scripts"])
def test_files_are_read_as_plain_data(room):
    found = {
        path.relative_to(ROOT).as_posix(): could_run_code(path.read_text(encoding="utf-8"))
        for path in (ROOT / room).rglob("*.py")
    }
    assert found
    assert {file: calls for file, calls in found.items() if calls != MAY.get(file, [])} == {}
