"""Files as people have them: each expected pixel is computed by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

from litzoo.datamodules.io.decisions import Decisions
from litzoo.datamodules.io.decoding import DamagedImageError, is_image
from litzoo.datamodules.io.images import ImageReader, require_background, require_page, require_value_range
from litzoo.datamodules.io.value_range import measured_range
from tests.datamodules.image_folder import folder_data, noise, save, write_pets

COLOUR = noise(8, 10)
RGB, GREY = (3, 8, 10), (1, 8, 10)
RED = np.zeros((8, 10, 3), dtype=np.uint8) + np.array([255, 0, 0], dtype=np.uint8)


def read(path, shape=RGB, **options):
    notes = set()
    pixels = ImageReader(shape, resize=False, **options)(path, notes)
    return pixels.permute(1, 2, 0).numpy(), notes


def write_16_bit_png(path, levels):
    """Writes a PNG of 16 bits per channel `[H, W, C]`, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = levels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (10, 200, 90)])
@pytest.mark.parametrize("opacity", [0, 64, 128, 200])
def test_transparency_is_composited_on_the_background(background, opacity):
    layers = np.dstack([COLOUR, np.full((8, 10), opacity, dtype=np.uint8)])
    pixels, notes = read(save("a.png", layers), background=background)
    expected = (COLOUR * (opacity / 255.0)) + np.array(background) * (1 - opacity / 255.0)
    assert np.abs(pixels - expected).max() <= 1
    assert notes == {"transparent"}


def test_transparent_palettes_and_colours_are_composited_too():
    palette = Image.fromarray(COLOUR[..., 0] % 2)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    pixels, notes = read(save("p.png", palette, transparency=0))
    white_or_blue = np.where((COLOUR[..., :1] % 2) == 1, [0, 0, 255], [255, 255, 255])
    assert np.array_equal(pixels, white_or_blue)
    assert notes == {"transparent", "palette"}
    pixels, notes = read(save("rgb.png", RED, transparency=(255, 0, 0)))
    assert (pixels == 255).all()
    assert notes == {"transparent"}
    pixels, notes = read(save("la.png", Image.new("LA", (10, 8), (0, 0))), GREY)
    assert (pixels == 255).all()
    assert notes == {"transparent"}


def test_an_opaque_image_with_an_alpha_channel_is_no_decision():
    pixels, notes = read(save("a.png", np.dstack([COLOUR, np.full((8, 10), 255, dtype=np.uint8)])))
    assert np.array_equal(pixels, COLOUR)
    assert notes == set()


def test_cmyk_and_grey_among_colours_are_converted_and_noted():
    pixels, notes = read(save("a.tif", Image.new("CMYK", (10, 8), (0, 255, 255, 0))))
    assert (pixels.tolist()[0][0], notes) == ([255, 0, 0], {"CMYK"})
    assert read(save("grey.png", COLOUR[..., 0]))[1] == {"grey"}
    assert read(save("grey.png", COLOUR[..., 0]), GREY)[1] == set()
    assert read(save("colour.png", COLOUR), GREY)[1] == {"colour"}


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_values_of_16_bits_are_scaled_by_their_range(suffix):
    levels = np.linspace(100, 300, 80).astype(np.uint16).reshape(8, 10)
    path = save(f"a.{suffix}", levels)
    pixels, notes = read(path, GREY, value_range=(100, 300))
    assert np.abs(pixels[..., 0] - (levels - 100.0) / 200 * 255).max() <= 0.51
    assert notes == {"deep"}
    pixels, notes = read(path, GREY, value_range=(150, 200))
    assert pixels[..., 0].tolist()[0][0] == 0
    assert pixels.max() == 255
    assert notes == {"deep", "clipped"}


@pytest.mark.parametrize(
    "levels",
    [np.linspace(-0.5, 1.5, 80, dtype=np.float32), np.linspace(-5000, 300_000, 80, dtype=np.int32)],
    ids=["floats", "32 bits"],
)
def test_other_depths_need_a_range_and_are_scaled_by_it(levels):
    levels = levels.reshape(8, 10)
    path = save("a.tif", levels)
    assert measured_range([path]) == (levels.min(), levels.max())
    pixels, _ = read(path, GREY, value_range=measured_range([path]))
    expected = (levels.astype(np.float64) - levels.min()) / (np.ptp(levels.astype(np.float64))) * 255
    assert np.abs(pixels[..., 0] - expected).max() <= 0.51
    with pytest.raises(DamagedImageError, match=r"a\.tif.*set data\.value_range"):
        read(path, GREY)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_16_bits_of_colour_keep_their_lower_bits(channels, tmp_path):
    levels = np.random.RandomState(0).randint(100, 300, (8, 10, channels)).astype(np.uint16)
    if channels in (2, 4):
        levels[..., -1] = 65535
    path = write_16_bit_png(tmp_path / "a.png", levels)
    colours = levels[..., :-1] if channels in (2, 4) else levels
    assert measured_range([path]) == (colours.min(), colours.max())
    pixels, notes = read(path, value_range=(100, 300))
    assert np.abs(pixels - (colours - 100.0) / 200 * 255).max() <= 0.51
    assert "deep" in notes


def test_the_range_is_that_of_all_deep_images_whatever_else_there_is(tmp_path):
    paths = [save("a.jpg", COLOUR), save("b.png", COLOUR), save("c.gif", COLOUR[..., 0])]
    assert measured_range(paths) is None
    for number, (low, high) in enumerate([(100, 200), (90, 150)]):
        paths.append(save(f"{number}.png", np.linspace(low, high, 80).astype(np.uint16).reshape(8, 10)))
    (tmp_path / "broken.png").write_text("404")
    assert measured_range([*paths, tmp_path / "broken.png", tmp_path / "gone.tif"]) == (90, 200)
    assert measured_range([save("flat.png", np.full((8, 10), 7, dtype=np.uint16))]) == (7, 8)
    levels = np.array([[np.nan, np.inf, -np.inf, 1, 3]], dtype=np.float32)
    assert measured_range([save("nan.tif", levels)]) == (1, 3)


@pytest.mark.parametrize(("name", "many"), [("a.tif", {}), ("a.gif", {}), ("a.webp", {"lossless": True})])
def test_the_page_is_the_one_asked_for(name, many):
    pages = [Image.new("RGB", (10, 8), (value, value, value)) for value in (0, 100, 200)]
    path = save(name, pages[0], save_all=True, append_images=pages[1:], **many)
    for page in range(3):
        pixels, notes = read(path, page=page)
        assert np.abs(pixels.astype(int) - 100 * page).max() <= 1
        assert "pages" in notes
    with pytest.raises(DamagedImageError, match=r"it has 3 pages, numbered from 0, but data\.page is 3"):
        read(path, page=3)
    with pytest.raises(DamagedImageError, match="it has 1 page, numbered"):
        read(save("single.png", COLOUR), page=1)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
@pytest.mark.parametrize(
    ("orientation", "undo"),
    [
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a[:, ::-1], -1)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_every_orientation_is_undone(orientation, undo, suffix):
    corners = np.zeros((16, 32, 3), dtype=np.uint8)
    corners[:8, :16], corners[:8, 16:], corners[8:, :16] = 60, 120, 180
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = undo(corners)
    pixels, notes = read(save(f"a.{suffix}", corners, exif=exif), (3, *expected.shape[:2]))
    assert np.abs(pixels.astype(int) - expected).max() <= 4
    assert notes == {"turned"}


def test_a_turned_image_of_16_bits_is_turned_back():
    levels = np.arange(80, dtype=np.uint16).reshape(8, 10)
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels, _ = read(save("a.png", levels, exif=exif), (1, 10, 8), value_range=(0, 255))
    assert np.array_equal(pixels[..., 0], np.rot90(levels, -1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000", "PCX", "ICO"])
def test_content_counts_and_not_the_name(kind, tmp_path):
    path = tmp_path / "whatever.dat"
    Image.fromarray(noise(16, 16)).save(path, format=kind)
    assert is_image(path)
    assert read(path, (3, 16, 16))[0].shape == (16, 16, 3)


@pytest.mark.parametrize(
    "content", [b"", b"notes", b"\n" * 50, b"%PDF-1.7", b"%!PS-Adobe-3.0 EPSF-3.0\n", bytes(300), b"a,b\n1,2\n" * 9]
)
def test_other_content_is_no_image(content, tmp_path):
    path = tmp_path / "file.dat"
    path.write_bytes(content)
    assert not is_image(path)
    assert not is_image(tmp_path)
    assert not is_image(tmp_path / "gone")


def test_the_rules_are_plain_values_that_come_back():
    reader = ImageReader(RGB, True, (0.5, 2.5), (1, 2, 3), 4)
    state = reader.state()
    torch.save(state, "state.pt")
    assert ImageReader.from_state(torch.load("state.pt", weights_only=True)) == reader
    assert ImageReader.from_state(ImageReader(GREY, False).state()) == ImageReader(GREY, False)


def test_decisions_are_counted_and_one_file_is_named(recwarn):
    decisions = Decisions()
    for number in range(5):
        decisions.add(f"{number}.tif", {"transparent", "pages"} if number in (2, 3) else set())
    texts = decisions.texts(ImageReader(RGB, False))
    assert texts["transparent"].startswith("2 of 5 files are transparent")
    assert texts["pages"].endswith("for example 2.tif")
    decisions.report("here", ImageReader(RGB, False), page_is_chosen=True)
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"here: 2 of 5 files have several pages: page 0 is read.*2\.tif"):
        decisions.report("here", ImageReader(RGB, False), page_is_chosen=False)


@pytest.mark.parametrize(
    ("own", "wanted", "is_cropped"),
    [
        ((20, 3000), (32, 32), True),
        ((3000, 20), (32, 32), True),
        ((3000, 20), (150, 1), False),
        ((90, 44), (32, 32), True),
        ((88, 44), (32, 32), False),
        ((640, 360), (32, 32), False),
        ((40, 40), (96, 40), True),
        ((32, 32), (32, 32), False),
    ],
)
def test_images_that_lose_most_of_their_area_are_noted(own, wanted, is_cropped):
    notes = set()
    ImageReader((3, *wanted[::-1]), resize=True)(save("a.png", noise(*own[::-1])), notes)
    assert notes == ({"cropped"} if is_cropped else set())


def test_a_training_counts_the_images_that_lose_most_of_their_area():
    write_pets(test=0)
    for number in (2, 5):
        save(f"pets/train/dog/{number:03}.png", noise(20, 300, seed=number))
    with pytest.warns(UserWarning, match=r"2 of \d+ files lose more than half of their area.*data\.original_size"):
        folder_data(size=32, test_size=2).setup("fit")


@pytest.mark.parametrize(("colour", "expected"), [("white", (255,) * 3), ("#0a0b0c", (10, 11, 12)), ([1, 2, 3],) * 2])
def test_backgrounds_are_names_codes_or_numbers(colour, expected):
    assert require_background(colour) == tuple(expected)


@pytest.mark.parametrize(
    ("check", "value", "words"),
    [
        (require_background, "whitish", "data.background: 'whitish' is no colour"),
        (require_background, (0, 0, 256), "data.background"),
        (require_background, (0, 0), "data.background"),
        (require_value_range, (3, 3), r"data.value_range: \[3, 3\] is no range"),
        (require_value_range, (0, float("inf")), "data.value_range"),
        (require_value_range, (0, float("nan")), "data.value_range"),
        (require_value_range, (1,), "data.value_range"),
        (require_page, -1, "data.page: -1"),
    ],
)
def test_impossible_options_are_refused(check, value, words):
    with pytest.raises(ValueError, match=words):
        check(value)
