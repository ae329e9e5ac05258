"""The page of an audit in headless Chromium: keys, buttons and the file that it downloads."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from litzoo.datamodules import DigitsDataModule, SymmetricNoise
from litzoo.scripts.audit.command import audit
from tests.scripts.helpers import MLP, QUIET

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium; on Debian: apt-get install chromium"),
    pytest.mark.slow,
]
NOISE = ["--data.label_noise=SymmetricNoise", "--data.label_noise.rate=0.05"]
STEPS = """
<script>
const press = key => document.dispatchEvent(new KeyboardEvent("keydown", { key }));
press("r"); press("d"); press("k"); press("ArrowLeft"); press("u");
cards[4].buttons.drop.click();
cards[5].select.value = "7"; cards[5].select.onchange();
pair.value = pairOf(suspects[0]); filter();
const result = document.createElement("pre");
result.id = "result";
const shownCards = cards.filter(each => !each.card.hidden).length;
const count = document.getElementById("count").textContent;
result.textContent = JSON.stringify({ csv: corrections(), shown: shownCards, count });
document.body.append(result);
</script></body>
"""


def in_browser(page):
    """Opens a page and returns its document after the scripts have run."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    command = [BROWSER, *options, f"--user-data-dir={Path('profile').absolute()}", page.absolute().as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_decisions_by_key_and_mouse_are_downloaded_and_applied():
    folder = audit([*MLP, *QUIET, *NOISE, "--trainer.max_epochs=3", "--folds=2"])
    page = (folder / "report.html").read_text(encoding="utf-8")
    suspects = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])["suspects"]
    Path("steps.html").write_text(page.replace("</body>", STEPS), encoding="utf-8")
    document = in_browser(Path("steps.html"))
    result = json.loads(re.search(r'<pre id="result">(.*?)</pre>', document, re.DOTALL)[1].replace("&gt;", ">"))
    expected = ["part,index,given,action,label"]
    decided = [(0, "relabel", suspects[0]["suggested"]), (1, "drop", ""), (4, "drop", ""), (5, "relabel", "7")]
    for place, action, label in decided:
        suspect = suspects[place]
        expected.append(f"{suspect['part']},{suspect['index']},{suspect['given']},{action},{label}")
    assert result["csv"].split() == expected
    assert result["count"] == f"4 of {len(suspects)} decided"
    pair = (suspects[0]["given"], suspects[0]["suggested"])
    assert result["shown"] == sum((each["given"], each["suggested"]) == pair for each in suspects)

    Path("corrections.csv").write_bytes(result["csv"].encode())
    datamodule = DigitsDataModule(label_noise=SymmetricNoise(0.05), corrections="corrections.csv")
    for stage in ("fit", "test"):
        datamodule.setup(stage)
    counts = datamodule.split_report()["corrections"]
    assert [sum(counts[name].values()) for name in ("relabelled", "dropped")] == [2, 2]
