"""What `litzoo try` refuses, and how it reads drawings and forms."""

import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo.__main__ import main
from tests.scripts.helpers import lines_of_error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ckpt_path", "none.ckpt"], "--ckpt_path none.ckpt: there is no such file"),
        (["--ckpt_path", "."], "--ckpt_path .: is a folder without a checkpoint"),
        (["--port", "70000"], "--port 70000: is no port; give 1024 to 65535, or 0"),
        (["--module", "none.Mine"], "--module none.Mine: cannot be imported"),
        (["--device", "abacus"], "device: 'abacus' cannot be used here"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
    ],
)
def test_bad_input_is_refused(best_ckpt, words, message, capsys, monkeypatch):
    pytest.importorskip("gradio")
    given = ["--ckpt_path", str(best_ckpt), "--device=cpu", *words]
    lines = lines_of_error(main, ["try", *given], capsys, monkeypatch)
    assert message in lines[0]


def test_a_port_that_is_taken_is_refused(best_ckpt, capsys, monkeypatch):
    pytest.importorskip("gradio")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["try", "--ckpt_path", str(best_ckpt), "--device=cpu", "--port", str(port)]
        lines = lines_of_error(main, words, capsys, monkeypatch)
    assert f"--port {port}: Address already in use; give another port" in lines[0]


def test_the_missing_package_is_named_with_the_command(best_ckpt, capsys, monkeypatch):
    monkeypatch.setattr("litzoo.scripts.web.command.find_spec", lambda name: None)
    lines = lines_of_error(main, ["try", "--ckpt_path", str(best_ckpt)], capsys, monkeypatch)
    assert "litzoo try: needs gradio: `pip install 'litzoo[web]'`" in lines[0]


def test_a_line_is_printed_before_torch_is_imported():
    program = """
import sys
sys.modules["torch"] = None  # an import of it fails
sys.argv = ["litzoo", "try", "--ckpt_path", "runs/best.ckpt"]
from litzoo.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "loading best.ckpt for the page ...\n"
    assert "ModuleNotFoundError: import of torch halted" in done.stderr


def canvas(ink, paper=0):
    """A canvas with black strokes where `ink` is, on transparent (0) or white (255) paper."""
    rgba = np.full((*ink.shape, 4), paper, dtype=np.uint8)
    rgba[ink] = (0, 0, 0, 255)
    return {"background": None, "layers": [], "composite": Image.fromarray(rgba)}


@pytest.mark.parametrize("paper", [0, 255])
def test_strokes_are_as_in_training(paper):
    pytest.importorskip("gradio")
    from litzoo.scripts.web.page import drawing

    ink = np.zeros((20, 20), dtype=bool)
    ink[3:17, 9:12] = True
    assert (np.array(drawing(canvas(ink, paper), is_dark=True)) == np.where(ink, 255, 0)).all()
    assert (np.array(drawing(canvas(ink, paper), is_dark=False)) == np.where(ink, 0, 255)).all()
    assert drawing(canvas(ink & False, paper), is_dark=True) is None
    assert drawing(None, is_dark=True) is None


def test_the_answer_says_what_is_known():
    pytest.importorskip("gradio")
    from litzoo.scripts.predict import Predictions
    from litzoo.scripts.web.page import answer

    known = Predictions(torch.tensor([1]), ["cat", "dog"], torch.tensor([[0.25, 0.75]]), torch.tensor([0.75]))
    assert answer(known) == ("# dog", {"cat": 0.25, "dog": 0.75})
    known.prediction, known.unknown_score, known.threshold = torch.tensor([-1]), torch.tensor([2.0]), 1.5
    assert answer(known)[0] == "# unknown\n\nunknown score 2, above the threshold 1.5; the most likely class is dog"
    value = Predictions(torch.tensor([2.5]), lower=torch.tensor([2.0]), upper=torch.tensor([3.0]), coverage=0.9)
    assert answer(value) == ("# 2.5\n2 to 3 holds the truth with a probability of 0.9", None)
