"""`litzoo try` in headless Chromium: a drawn stroke, a dropped image and the form of a table."""

import asyncio
import io
import json
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

pytest.importorskip("gradio", reason="gradio is not installed: pip install 'litzoo[web]'")

from litzoo import Predictor, Regressor
from litzoo.datamodules.tables.reading import TableReading
from litzoo.scripts.docs.browser import CHROMIUM, opened
from litzoo.scripts.web.command import serve
from litzoo.scripts.web.page import SIDE, build, launch
from tests.scripts.trained_digits import images_of_test

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; on Debian: apt-get install chromium"),
    pytest.mark.slow,
]
BOXES = "[...document.querySelectorAll('#canvas canvas')].map(e => e.getBoundingClientRect().toJSON())"
READY = "!document.querySelector('#canvas')?.innerText.includes('draw tool') && !!document.querySelector('#drawn')"
ANSWER = "document.querySelector('#answer h1')?.innerText"


@pytest.fixture
def predicted(monkeypatch):
    """Samples that predictors were given, with their predictions."""
    found = []
    call = Predictor.__call__

    def recorded(self, inputs, *options):
        found.append((inputs, call(self, inputs, *options)))
        return found[-1][1]

    monkeypatch.setattr(Predictor, "__call__", recorded)
    return found


async def draw_stroke(page):
    """Draws a line from the top to the bottom, left of the middle."""
    await page.wait_for(f"({BOXES}).length && {READY}")
    box = max(await page.value(BOXES), key=lambda each: each["width"])
    middle = box["x"] + box["width"] / 2 - SIDE / 4
    points = [(middle, box["y"] + box["height"] / 2 + step * SIDE / 40) for step in range(-13, 14)]
    await page.drag(points)
    await page.value("document.querySelector('#drawn').click()")


async def drop(page, name):
    """Gives a file to the field for images."""
    await page.wait_for("document.querySelectorAll('button[role=tab]').length > 1")
    await page.value("document.querySelectorAll('button[role=tab]')[1].click()")
    await page.wait_for("!!document.querySelector('#file input[type=file]')")
    document = await page.send("DOM.getDocument", depth=-1)
    field = await page.send("DOM.querySelector", nodeId=document["root"]["nodeId"], selector="#file input[type=file]")
    await page.send("DOM.setFileInputFiles", nodeId=field["nodeId"], files=[str(Path(name).absolute())])


def test_a_drawn_stroke_and_a_file_are_predicted(best_ckpt, predicted):
    Image.fromarray(images_of_test()[0, 0].numpy()).save("digit.png")
    app = serve(["--ckpt_path", str(best_ckpt), "--device=cpu"])

    async def steps():
        async with opened(app.local_url) as page:
            await draw_stroke(page)
            shown = [await page.wait_for(ANSWER)]
            classes = await page.wait_for("document.querySelector('#classes')?.innerText")
            await drop(page, "digit.png")
            for _ in range(100):
                await asyncio.sleep(0.3)
                if len(predicted) > 1:
                    break
            await asyncio.sleep(2)
            shown.append(await page.value(ANSWER))
            return shown, classes, page

    try:
        shown, classes, page = asyncio.run(steps())
    finally:
        app.close()
    assert not page.problems
    hosts = {urlsplit(each).hostname for each in page.requests if each.startswith("http")}
    assert hosts == {"127.0.0.1"}
    (drawn, first), (_, second) = predicted
    assert shown == [first.names[0], second.names[0]]
    for name in first.class_names:
        assert name in classes
    pixels = torch.from_numpy(np.array(drawn[0])).double()
    columns, rows = (pixels.sum(dim=each) / pixels.sum() for each in (0, 1))
    across = float((columns * torch.arange(len(columns))).sum()) / len(columns)
    assert across == pytest.approx(0.25, abs=0.03)  # bright where the stroke was drawn
    down = float((rows * torch.arange(len(rows))).sum()) / len(rows)
    assert down == pytest.approx(0.5, abs=0.03)
    expected = Predictor.load(best_ckpt, device="cpu")(["digit.png"])
    assert torch.equal(second.probabilities, expected.probabilities)


def test_a_dropped_file_that_is_no_image_gets_one_sentence(best_ckpt, predicted, capfd):
    Path("note.txt").write_text("a note")
    Path("broken.png").write_bytes(b"no image")
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(whole, "PNG")
    Path("half.png").write_bytes(whole.getvalue()[:2000])
    app = serve(["--ckpt_path", str(best_ckpt), "--device=cpu"])

    async def shown(name):
        async with opened(app.local_url) as page:
            await drop(page, name)
            return await page.wait_for(f"document.body.innerText.match(/^{name} .*/m)?.[0]")

    try:
        sentences = [asyncio.run(shown(name)) for name in ("note.txt", "broken.png", "half.png")]
    finally:
        app.close()
    reason = "is no image that can be read; drop a PNG or JPEG, for example"
    assert sentences[:2] == [f"note.txt {reason}", f"broken.png {reason}"]
    assert sentences[2].startswith("half.png cannot be read as an image: ")
    assert "gradio" not in " ".join(sentences)
    assert not predicted
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_form_has_the_columns_of_the_table(predicted):
    frame = pd.DataFrame(
        {
            "rooms": [3.0, None, 5.0, 9.0, 7.0] * 4,
            "garden": ["yes", "no", "yes", "no", "no"] * 4,
            "built": ["2001-02-03", "1999-12-31", None, "2020-06-01", "2010-10-10"] * 4,
            "place": ["town", "sea", None, "town", "hill"] * 4,
        }
    )
    reading = TableReading.fit(frame, target="price")
    torch.manual_seed(0)
    predictor = Predictor(Regressor((reading.num_features,), 200.0, 30.0), reading, device="cpu")
    app = build(predictor, "table")
    launch(app, "127.0.0.1", 0)

    async def steps():
        async with opened(app.local_url) as page:
            await page.wait_for("!!document.querySelector('#sent')")
            labels = await page.value("document.body.innerText")
            await page.value("document.querySelector('#sent').click()")
            return labels, await page.wait_for(ANSWER), page.problems

    try:
        labels, shown, problems = asyncio.run(steps())
    finally:
        app.close()
    assert not problems
    assert all(name in labels for name in ("rooms", "garden", "built", "place", "predicts price"))
    ((row, predictions),) = predicted
    assert json.loads(row.to_json(orient="records")) == [
        {"rooms": 6.0, "garden": "true", "built": None, "place": "hill"}
    ]
    own = pd.DataFrame({"rooms": [6.0], "garden": ["yes"], "built": [None], "place": ["hill"]})
    expected = float(predictor(own).prediction[0])
    assert float(shown) == pytest.approx(expected, rel=1e-7)  # all digits, as in predictions.csv
    assert expected == pytest.approx(float(predictions.prediction[0]), rel=1e-6)
