"""Images of more than 8 bits, other files, and damaged ones, given to a trained model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo import Predictor
from tests.scripts.predict.test_command import run
from tests.scripts.trained_digits import images_of_test


@pytest.mark.parametrize(("factor", "bits"), [(1, 8), (16, 12)])
def test_sixteen_bits_that_are_not_filled_are_warned_of(best_ckpt, factor, bits):
    images = images_of_test()[:4, 0].numpy()
    deep = [image.astype(np.uint16) * factor for image in images]
    for number, image in enumerate(deep):
        Path("new").mkdir(exist_ok=True)
        Image.fromarray(image).save(f"new/{number}.tiff")
    highest = int(np.max(deep))
    for inputs in (deep, "new"):
        with pytest.warns(
            UserWarning, match=rf"from 0 to {highest}, but 0 is read as black.*nearly black.*value_range"
        ):
            Predictor.load(best_ckpt, device="cpu")(inputs)
        found = Predictor.load(best_ckpt, device="cpu", value_range=(0, 255 * factor))(inputs)
        assert torch.equal(found.probabilities, Predictor.load(best_ckpt, device="cpu")(list(images)).probabilities)


def test_other_files_are_named_and_all_damaged_ones(best_ckpt, monkeypatch, capsys):
    Path("new").mkdir()
    Image.fromarray(images_of_test()[0, 0].numpy()).save("new/good.png")
    Path("new/note.txt").write_text("a note")
    for number in range(12):
        Path(f"new/bad {number:02}.png").write_bytes(b"no image")
    with (
        pytest.warns(UserWarning, match=r"1 file is left out, which is no image: note\.txt"),
        pytest.raises(SystemExit),
    ):
        run(monkeypatch, "--ckpt_path", best_ckpt, "--input", "new", "--batch_size=2")
    message = capsys.readouterr().err
    assert "12 of 13 images cannot be read" in message
    assert "--unreadable skip" in message


def test_a_missing_checkpoint_is_named(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--ckpt_path", "missing.ckpt")
    assert "missing.ckpt: there is no such file" in capsys.readouterr().err


def test_a_folder_in_place_of_a_checkpoint_is_answered_with_the_checkpoint_in_it(best_ckpt, monkeypatch, capsys):
    for words in ([], ["--input", "new"]):
        with pytest.raises(SystemExit):
            run(monkeypatch, "--ckpt_path", best_ckpt.parent, *words)
        assert f"is a folder; name the checkpoint in it, {best_ckpt}" in capsys.readouterr().err


def test_predictions_print_as_a_short_table(best_ckpt):
    lines = str(Predictor.load(best_ckpt, device="cpu")(images_of_test()[:30])).splitlines()
    assert lines[0] == "30 predictions"
    assert lines[1].split() == ["prediction", "confidence", "unknown_score", "class_name"]
    assert len(lines) == 13


def test_a_large_jpeg_in_memory_is_the_same_as_its_file_if_it_is_drafted(best_ckpt):
    noise = np.random.default_rng(0).integers(0, 256, (100, 120), dtype=np.uint8)
    Image.fromarray(noise).save("large.jpg")
    predictor = Predictor.load(best_ckpt, device="cpu")
    _, height, width = predictor.preparation.shape
    drafted = Image.open("large.jpg")
    drafted.draft("L", (max(height, width),) * 2)
    assert torch.equal(predictor("large.jpg").probabilities, predictor(drafted).probabilities)
    assert not torch.equal(predictor("large.jpg").probabilities, predictor(Image.open("large.jpg")).probabilities)
