"""The program for exported image models in docs/deploy.md reads files of phones as `litzoo predict` does."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo import BestCheckpoint, CNNClassifier
from litzoo.__main__ import main
from tests.datamodules.image_folder import folder_data, noise, save, write_class
from tests.scripts.export.exported import documented
from tests.training import cpu_trainer

ORIENTATION = 0x0112


def photo(seed):
    """Returns a smooth image whose quadrants differ, as those of photos do."""
    return Image.fromarray(noise(4, 3, seed=seed)).resize((90, 120), Image.Resampling.BICUBIC)


def write_new_images():
    """Writes what phones, cameras and the web have into the folder `new`."""
    turned, opacity = Image.Exif(), Image.linear_gradient("L").resize((90, 120))
    turned[ORIENTATION] = 6
    grey = np.asarray(photo(1).convert("L")).astype(np.uint16) * 16
    save("new/camera_12_bits.png", grey)
    save("new/camera_12_bits.tif", grey)
    save("new/camera_turned.png", Image.fromarray(grey), exif=turned)
    save("new/cmyk.jpg", photo(2).convert("CMYK"))
    save("new/grey.png", photo(3).convert("L"))
    save("new/grey_transparent.png", Image.merge("LA", [photo(4).convert("L"), opacity]))
    save("new/large.jpg", photo(5).resize((900, 1200)))
    save("new/pages.gif", photo(6), save_all=True, append_images=[photo(7)])
    palette = photo(8).convert("P", palette=Image.Palette.ADAPTIVE)
    save("new/palette.gif", palette, transparency=palette.getpixel((40, 60)))
    save("new/phone.jpg", photo(9).resize((300, 400)), exif=turned)
    transparent = photo(10).convert("RGBA")
    transparent.putalpha(opacity)
    save("new/transparent.png", transparent)


def train(grey):
    """Trains a small classifier on images of 8 and of 12 bits."""
    for name, seed in (("cats", 0), ("dogs", 100)):
        write_class(Path("pets") / name, 12, side=16, seed=seed)
        save(f"pets/{name}/deep.png", noise(16, 16, 1, seed=seed).astype(np.uint16) * 16)
    data = folder_data(size=16, grey=grey, background="#ff8000")
    torch.manual_seed(0)
    model = CNNClassifier(data.input_shape, 2, widths=[4, 8])
    cpu_trainer(callbacks=[BestCheckpoint()], max_epochs=2, enable_checkpointing=True).fit(model, data)


@pytest.mark.slow
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.filterwarnings("ignore:pets.*bits")
def test_files_of_phones_and_cameras_are_answered_as_litzoo_predict_does(grey, monkeypatch):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    write_new_images()
    train(grey)
    checkpoint = "--ckpt_path=run/checkpoints/best.ckpt"
    for words in (
        ["export", checkpoint, "--format=onnx", "--output=model.onnx"],
        ["predict", checkpoint, "--input=new", "--device=cpu", "--probabilities"],
    ):
        monkeypatch.setattr("sys.argv", ["litzoo", *words])
        main()
    with open("predictions.csv", newline="") as stream:
        predicted = {row["file"]: float(row["probability/0"]) for row in csv.DictReader(stream)}
    assert set(predicted) == {path.name for path in Path("new").iterdir()}
    found = {}
    for name in predicted:
        names: dict = {}
        exec(documented("model.onnx").replace("one.png", f"new/{name}"), names)
        found[name] = float(names["answer"]["probabilities"][0, 0])
    assert found == pytest.approx(predicted, abs=1e-5)
    assert len({round(each, 4) for each in predicted.values()}) > 6
