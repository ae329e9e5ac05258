"""The code of docs/python.md, as printed."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts.helpers import CONFIGS, QUIET

PAGE = (CONFIGS.parent / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMAND = re.search(r"```bash\nlitzoo (.*?)```", PAGE, re.DOTALL)[1].replace("\\\n", "")


OWN_CODE = "# my_code.py\n"


def test_a_model_is_trained_loaded_and_used(capsys):
    Path("page.py").write_text("\n".join(block for block in BLOCKS if not block.startswith(OWN_CODE)))
    found = runpy.run_path("page.py")
    assert "training labels are flagged" in capsys.readouterr().out
    expected = found["predictor"](found["images"])
    assert expected.probabilities.sum().item() == pytest.approx(1)
    assert expected.names == found["found"].names
    assert found["prediction"].tolist() == [-1] * 4
    assert found["own"].class_names == ["0", "1"]
    with pytest.raises(TypeError, match="uint8 images must be normalised first"):
        found["model"](found["images"])


@pytest.mark.slow
def test_the_installed_command_finds_code_in_the_current_folder():
    (code,) = [block for block in BLOCKS if block.startswith(OWN_CODE)]
    Path("my_code.py").write_text(code)
    litzoo = Path(sys.executable).with_name("litzoo")
    ended = subprocess.run([litzoo, *shlex.split(COMMAND), *QUIET], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"test/acc +│ 1\.0000", ended.stdout), ended.stdout
    (record,) = Path("runs").rglob("run.json")
    assert json.loads(record.read_text())["command"].startswith("litzoo fit ")
