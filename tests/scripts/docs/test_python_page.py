"""The code of docs/python.md, as printed."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.scripts.helpers import CONFIGS, QUIET

PAGE = (CONFIGS.parent / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMAND = re.search(r"```bash\nlitzoo (.*?)```", PAGE, re.DOTALL)[1].replace("\\\n", "")


def test_a_model_is_trained_loaded_and_exported(capsys):
    Path("page.py").write_text("\n".join(BLOCKS[:2]))
    found = runpy.run_path("page.py")
    assert "training labels are flagged" in capsys.readouterr().out
    images = found["data"].normalise(found["images"])
    exported = torch.export.load("digits.pt2").module()(images)
    torch.testing.assert_close(exported.softmax(dim=1), found["probabilities"])
    with pytest.raises(TypeError, match="uint8 images must be normalised first"):
        found["model"](found["images"])


@pytest.mark.slow
def test_the_installed_command_finds_code_in_the_current_folder():
    name, code = re.match(r"# (\w+\.py)\n(.*)", BLOCKS[2], re.DOTALL).groups()
    Path(name).write_text(code)
    litzoo = Path(sys.executable).with_name("litzoo")
    ended = subprocess.run([litzoo, *shlex.split(COMMAND), *QUIET], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"test/acc +│ 1\.0000", ended.stdout), ended.stdout
