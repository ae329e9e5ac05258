"""The example of one's own data set and network in docs/python.md, as printed."""

import re
import runpy
from pathlib import Path

from tests.scripts.helpers import CONFIGS

PAGE = (CONFIGS.parent / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_it_runs_after_the_blocks_before_it_and_learns():
    own = next(block for block in BLOCKS if "from_datasets" in block)
    Path("page.py").write_text(f"{BLOCKS[0]}\n{own}")
    found = runpy.run_path("page.py")
    assert found["points"].split_report()["label_noise"] == {"train": 0.2}
    assert found["trainer"].callback_metrics["test/acc"] > 0.7
