from pathlib import Path

import pytest

from litzoo.callbacks.files import read_json, write_json


def test_object_that_was_written_is_read():
    write_json(Path("metrics.json"), {"val/loss": 0.5, "Größe": None})
    assert read_json(Path("metrics.json")) == {"val/loss": 0.5, "Größe": None}


def test_absent_file_and_folder_hold_nothing(recwarn):
    Path("folder.json").mkdir()
    assert read_json(Path("metrics.json")) == read_json(Path("folder.json")) == {}
    assert not recwarn


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"[1]", b"\xff\xfe"], ids=["nothing", "half", "list", "bytes"])
def test_damaged_file_holds_nothing_and_is_told_by_name(content):
    Path("metrics.json").write_bytes(content)
    with pytest.warns(UserWarning, match=r"metrics\.json is damaged"):
        assert read_json(Path("metrics.json")) == {}
