import ast
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from traceback import walk_tb

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from litzoo.datamodules.io.images import DamagedImageError, ImageReader, ImagesOnDisk, in_threads, read_all
from tests.counted import count
from tests.datamodules.image_folder import as_tensor, noise, save

COLOUR = noise(8, 10)
RGB, GREY = (3, 8, 10), (1, 8, 10)
ORIENTATION = 0x0112


def read(path, shape=RGB, resize=False):
    return ImageReader(shape, resize)(path)


def turned(image, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return {"image": Image.fromarray(image), "exif": exif}


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "a.tif", "A.PNG", "Löwe im Gras.png"])
def test_a_lossless_file_gives_its_pixels(name):
    pixels = read(save(name, COLOUR))
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (3, 8, 10))
    assert np.array_equal(pixels.permute(1, 2, 0), COLOUR)


@pytest.mark.parametrize(("name", "options"), [("a.jpg", {"quality": 100, "subsampling": 0}), ("a.webp", {})])
def test_a_lossy_file_gives_about_its_pixels(name, options):
    flat = np.full((8, 10, 3), (200, 100, 30), dtype=np.uint8)
    assert (read(save(name, flat, **options)).float() - torch.tensor([200.0, 100, 30])[:, None, None]).abs().max() <= 4


def test_palettes_transparency_and_grey_become_colours():
    colours = np.array([[255, 0, 0], [0, 0, 255]], dtype=np.uint8)
    palette = Image.fromarray(COLOUR[..., 0] % 2)
    palette.putpalette(colours.ravel().tolist())
    assert np.array_equal(read(save("palette.png", palette)).permute(1, 2, 0), colours[COLOUR[..., 0] % 2])
    opaque = np.dstack([COLOUR, np.full((8, 10), 255, dtype=np.uint8)])
    assert np.array_equal(read(save("opaque.png", opaque)).permute(1, 2, 0), COLOUR)
    assert np.array_equal(read(save("grey.png", COLOUR[..., 0])), np.stack([COLOUR[..., 0]] * 3))
    assert np.array_equal(read(save("bits.png", Image.fromarray(COLOUR[..., 0] > 99)))[0] > 0, COLOUR[..., 0] > 99)


def test_colours_become_grey_by_their_brightness():
    # ITU-R 601: 0.299 red + 0.587 green + 0.114 blue
    brightness = COLOUR @ np.array([0.299, 0.587, 0.114])
    pixels = read(save("a.png", COLOUR), GREY)
    assert pixels.shape == GREY
    assert np.abs(pixels[0].numpy() - brightness).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("shape", [GREY, RGB])
def test_sixteen_bits_keep_their_contrast(shape, suffix):
    deep = np.linspace(0, 65535, 80).astype(np.uint16).reshape(8, 10)
    pixels = read(save(f"deep.{suffix}", deep), shape)
    assert np.abs(pixels.numpy() - deep / 257).max() <= 1


@pytest.mark.parametrize(
    "levels",
    [
        np.linspace(0, 300_000, 80, dtype=np.int32),
        np.linspace(-5000, 60_000, 80, dtype=np.int32),
        np.linspace(0, 1, 80, dtype=np.float32),
    ],
    ids=["too large", "negative", "fractions"],
)
def test_numbers_that_8_bits_cannot_hold_are_refused(levels):
    with pytest.raises(ValueError, match=r"deep\.tif cannot be read as an image: it holds values other than integers"):
        read(save("deep.tif", levels.reshape(8, 10)), GREY)


@pytest.mark.parametrize(
    ("orientation", "undo"), [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1))]
)
def test_an_image_is_turned_as_its_camera_noted(orientation, undo):
    expected = undo(COLOUR)
    path = save("a.png", **turned(COLOUR, orientation))
    assert np.array_equal(read(path, (3, *expected.shape[:2])).permute(1, 2, 0), expected)


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 5, 3), (3, 16, 16), (3, 8, 4)])
@pytest.mark.parametrize("size", [(8, 10), (20, 9)])
def test_resizing_is_that_of_pillow(size, shape):
    path = save("a.png", noise(*size))
    mode = "L" if shape[0] == 1 else "RGB"
    expected = ImageOps.fit(Image.open(path).convert(mode), shape[:0:-1], Image.Resampling.BILINEAR)
    assert torch.equal(read(path, shape, resize=True), as_tensor(expected))


def test_a_wide_image_is_cut_left_and_right_alike():
    flag = np.zeros((4, 12), dtype=np.uint8)
    flag[:, 4:8] = 200
    assert (read(save("a.png", flag), (1, 4, 4), resize=True) == 200).all()


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("shape", [(3, 20, 20), (3, 160, 20), (3, 20, 160)])
def test_a_large_jpeg_is_scaled_down_as_if_it_had_been_decoded_in_full(shape, orientation):
    # Stripes two pixels wide: decoding at a quarter of the size loses them.
    stripes = np.zeros((640, 160, 3), dtype=np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 255
    path = save("a.jpg", **turned(stripes, orientation), quality=95)
    whole = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    expected = as_tensor(ImageOps.fit(whole, shape[:0:-1], Image.Resampling.BILINEAR))
    assert (read(path, shape, resize=True).float() - expected.float()).abs().mean() < 8


def test_another_size_is_refused_unless_images_are_resized():
    path = save("odd.png", noise(8, 9))
    with pytest.raises(ValueError, match=r"odd\.png has 8×9 pixels, other images 8×10.*data\.size"):
        read(path)


def test_rows_on_disk_are_those_in_memory():
    paths = [save(f"{i}.png", noise(8, 10, seed=i)) for i in range(7)]
    rows, index = ImagesOnDisk(paths, ImageReader(RGB, resize=False)), torch.tensor([6, 0, 0, 3])
    images, positions, problems = read_all(paths, rows.reader, keep=True, skip=False)
    assert (len(rows), positions, problems) == (7, list(range(7)), [])
    assert torch.equal(rows[index], images[index])
    assert torch.equal(rows.index_select(0, index), images[index])
    assert torch.equal(rows[torch.tensor(5)], images[5])
    assert rows.index_select(0, index[:0]).shape == (0, *RGB)


def test_a_file_that_went_missing_is_named():
    path = save("gone.png", COLOUR)
    rows = ImagesOnDisk([path], ImageReader(RGB, resize=False))
    path.unlink()
    with pytest.raises(ValueError, match=r"gone\.png cannot be read"):
        rows[torch.tensor([0])]


def test_images_keep_their_order_where_there_are_more_than_are_read_at_once(monkeypatch):
    monkeypatch.setattr("litzoo.datamodules.io.images.CHUNK", 2)
    paths = [save(f"{i}.png", noise(8, 10, seed=i)) for i in range(5)]
    images, positions, _ = read_all(paths, ImageReader(RGB, resize=False), keep=True, skip=False)
    assert positions == list(range(5))
    assert torch.equal(images, torch.stack([read(path) for path in paths]))


def test_no_threads_and_no_progress_bar_are_left_in_what_a_failed_reading_leaves_behind():
    """An abandoned generator was closed by the garbage collector within `threading`, which waited for itself."""

    def fail(path):
        raise DamagedImageError(path)

    threads = set(threading.enumerate()) | {*in_threads(lambda _: threading.current_thread(), range(50))}
    for _ in range(20):
        with pytest.raises(DamagedImageError) as raised:
            in_threads(fail, range(50))
        held = [frame.f_locals for frame, _ in walk_tb(raised.value.__traceback__)]
        assert not [value for names in held for value in names.values() if isinstance(value, ThreadPoolExecutor)]
    readers = [thread for thread in threading.enumerate() if thread.name.startswith("reader")]
    assert len(readers) <= min(8, os.cpu_count())
    assert {thread for thread in threading.enumerate() if thread not in readers} <= threads


def test_a_fork_reads_with_threads_of_its_own():
    in_threads(str, range(4))
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as fork:
        assert fork.apply_async(in_threads, (str, range(4))).get(timeout=60) == ["0", "1", "2", "3"]


def test_no_generator_holds_anything_open_that_its_end_would_have_to_close():
    """Only functions under `contextmanager` may yield within `with`: those end where their block does."""
    packages = [
        Path(import_module(name).__file__).parent
        for name in ("litzoo.callbacks", "litzoo.datamodules", "litzoo.lit_modules", "litzoo.scripts")
    ]
    files = [path for package in packages for path in package.rglob("*.py")]
    assert len(files) > 100
    held = [
        f"{path}:{node.lineno}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and "contextmanager" not in map(ast.unparse, node.decorator_list)
        for block in ast.walk(node)
        if isinstance(block, ast.With | ast.Try)
        and any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in ast.walk(block))
    ]
    assert held == []


def test_a_program_that_is_named_like_an_image_is_not_run(monkeypatch):
    ran = []
    monkeypatch.setattr(
        "PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: ran.append(1) or Image.new("RGB", (10, 8)).im
    )
    save("a.eps", COLOUR).rename("a.png")
    Image.open("a.png").load()
    assert ran.pop()
    for resize in (False, True):
        with pytest.raises(DamagedImageError, match=r"a\.png cannot be read as an image"):
            read(Path("a.png"), resize=resize)
    assert not ran
    count("inputs refused")
