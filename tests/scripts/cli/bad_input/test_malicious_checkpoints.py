import pickle
from pathlib import Path

import pytest
import torch

from tests.counted import count
from tests.malice import RAN, RunsCode, evil_module, source_that_runs  # noqa: F401 (a fixture)
from tests.scripts.helpers import MLP, files_in, litzoo

BAD = Path("bad.ckpt")


def spoil(trained, place, **content):
    """Writes a checkpoint that is whole but for what is put into one place."""
    whole = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    torch.save({**whole, place: {**whole.get(place, {}), **content}}, BAD)


SPOILT = {
    "pickle": lambda trained: BAD.write_bytes(pickle.dumps(RunsCode())),
    "object": lambda trained: spoil(trained, "extra", one=RunsCode()),
    "object in a loss's state": lambda trained: spoil(trained, "state_dict", **{"loss._extra_state": RunsCode()}),
    "object among the options": lambda trained: spoil(trained, "hyper_parameters", loss=RunsCode()),
    "object of a callback": lambda trained: spoil(trained, "callbacks", RunRecord=RunsCode()),
    "name of a class": lambda trained: spoil(trained, "hyper_parameters", loss={"class_path": "evil.Loss"}),
    "name of a module": lambda trained: spoil(trained, "hyper_parameters", _class_path="evil.Loss"),
    "name of a function": lambda trained: spoil(trained, "hyper_parameters", loss=source_that_runs()),
}


@pytest.mark.parametrize(
    ("subcommand", "how"),
    [
        *((subcommand, how) for subcommand in ("validate", "predict") for how in ("pickle", "object")),
        ("test", "object in a loss's state"),
        ("fit", "object among the options"),
        ("validate", "object of a callback"),
        *zip(("fit", "test", "predict"), ("name of a class", "name of a module", "name of a function"), strict=True),
    ],
)
@pytest.mark.usefixtures("evil_module")
def test_a_checkpoint_that_brings_or_names_code_is_refused_and_never_run(trained, subcommand, how):
    SPOILT[how](trained)
    before = files_in(Path("runs"))
    with pytest.raises(ValueError, match=r"^--ckpt_path bad\.ckpt: "):
        litzoo(subcommand, *MLP, f"--ckpt_path={BAD}")
    assert not RAN.exists()
    assert files_in(Path("runs")) == before
    count("inputs refused")


@pytest.mark.usefixtures("evil_module")
def test_what_the_config_names_too_is_loaded(trained):
    loss = ["--model.loss=evil.Loss"]
    spoil(trained, "hyper_parameters", loss={"class_path": "evil.Loss"})
    cli = litzoo("test", *MLP, *loss, f"--ckpt_path={BAD}")
    assert type(cli.model.loss).__module__ == "evil"
    assert RAN.exists()
