"""The README's commands, as printed but for the sizes of tiny files."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from litzoo.__main__ import main
from tests.data import builders
from tests.scripts.helpers import CONFIGS, litzoo

README = CONFIGS.parent / "README.md"
TINY = ["--data.train_size=40", "--data.val_size=20", "--data.batch_size=4", "--data.eval_batch_size=8"]
SHORT = "--trainer.max_epochs=1"
ONE_PROCESS = {"--trainer.devices": "1"}


def commands():
    """Returns the words of each line that begins with `litzoo`."""
    lines = re.findall(r"^litzoo (.*)", README.read_text(encoding="utf-8"), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.slow
def test_the_commands_of_the_readme_follow_one_another(tiny_data, monkeypatch, capsys):
    monkeypatch.setenv("LITZOO_DATA_DIR", str(tiny_data))
    builders.write_unlabeled(Path("new_images"))
    assert [words[0] for words in commands()] == ["configs", "fit", "fit", "test", "predict"]
    for words in commands():
        if words == ["configs"] or "--input" in words:
            monkeypatch.setattr(sys, "argv", ["litzoo", *words])
            main()
            assert {"configs": "digits_cnn", "predict": "predictions.csv"}[words[0]] in capsys.readouterr().out
            continue
        replaced = [ONE_PROCESS.get(before, word) for before, word in zip(["", *words], words, strict=False)]
        litzoo(*replaced, *([*TINY, SHORT] if words[0] == "fit" else []))
    assert Path("runs/digits_cnn/version_0/metrics.json").is_file()
    assert len(Path("predictions.csv").read_text().splitlines()) == 25


def test_the_yaml_of_the_readme_is_the_shipped_config():
    block = re.search(r"```yaml\n# configs/(\w+\.yaml)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    shipped = (CONFIGS / block[1]).read_text(encoding="utf-8")
    assert shipped.partition("\n")[2] == block[2]
