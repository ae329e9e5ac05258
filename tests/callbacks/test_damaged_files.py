from pathlib import Path

import pytest

from litzoo.callbacks.files import read_json, write_json


def test_a_written_object_is_read_back():
    write_json(Path("metrics.json"), {"val/loss": 0.5, "Größe": None})
    assert read_json(Path("metrics.json")) == {"val/loss": 0.5, "Größe": None}


def test_an_absent_file_or_a_folder_is_an_empty_object(recwarn):
    Path("folder.json").mkdir()
    assert read_json(Path("metrics.json")) == read_json(Path("folder.json")) == {}
    assert not recwarn


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"[1]", b"\xff\xfe"], ids=["nothing", "half", "list", "bytes"])
def test_a_damaged_file_is_an_empty_object_with_a_warning(content):
    Path("metrics.json").write_bytes(content)
    with pytest.warns(UserWarning, match=r"metrics\.json is damaged"):
        assert read_json(Path("metrics.json")) == {}
