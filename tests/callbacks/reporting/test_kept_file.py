import os
from pathlib import Path

import pytest

from litzoo.callbacks.reporting._kept_file import KeepsFileOfRefused


def refused(steps=0):
    """A callback that has kept `run.json`, written it anew and seen some steps; and the file."""
    path, callback = Path("run.json"), KeepsFileOfRefused()
    path.write_text("of the finished run")
    callback.keep(path)
    path.write_text("of the resumed run")
    for step in range(steps):
        callback.on_train_batch_start(None, None, None, step)
    return callback, path


@pytest.mark.parametrize(("steps", "content"), [(0, "of the finished run"), (1, "of the resumed run")])
def test_the_earlier_file_is_put_back_if_no_step_followed(steps, content):
    callback, path = refused(steps)
    callback.on_exception(None, None, ValueError())
    assert path.read_text() == content


def test_a_kill_while_it_is_put_back_leaves_a_complete_file(monkeypatch):
    callback, path = refused()

    def killed(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        callback.on_exception(None, None, ValueError())
    assert path.read_text() == "of the resumed run"
    assert [each.name for each in Path().iterdir()] == ["run.json"]
