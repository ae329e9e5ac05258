"""The README's commands, as printed but for the sizes of tiny files."""

import re
import shlex
from pathlib import Path

import pytest

from tests.scripts.helpers import CONFIGS, litzoo

README = CONFIGS.parent / "README.md"
TINY = ["--data.val_size=20", "--data.batch_size=4", "--data.eval_batch_size=8"]
SMALLER = {"--data.train_size": "40", "--trainer.devices": "1"}


@pytest.mark.slow
def test_the_commands_of_the_readme_follow_one_another(tiny_data, monkeypatch):
    monkeypatch.setenv("LITZOO_DATA_DIR", str(tiny_data))
    Path("configs").symlink_to(CONFIGS)
    lines = re.findall(r"^litzoo .*", README.read_text(encoding="utf-8"), re.MULTILINE)
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    assert [words[0] for words in commands] == ["fit", "test", "predict"]
    for words in commands:
        smaller = [SMALLER.get(before, word) for before, word in zip(["", *words], words, strict=False)]
        fitting = [*TINY, "--trainer.max_epochs=1"] if words[0] == "fit" else []
        litzoo(*smaller, *fitting)
    assert Path("runs/mnist_cnn/version_0/predictions.csv").is_file()
