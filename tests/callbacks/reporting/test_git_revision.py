import os
import shutil
import subprocess
from pathlib import Path

import pytest

from litzoo.callbacks.reporting.run_record import git_revision

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(*arguments):
    identity = {f"GIT_{role}_{field}": "nobody" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, env=environment)
    return done.stdout.strip()


@pytest.fixture
def code(tmp_path):
    """A work tree with one commit."""
    git("init", "code")
    Path("code/module.py").write_text("one = 1\n")
    git("-C", "code", "add", "module.py")
    git("-C", "code", "commit", "-m", "one")
    return tmp_path / "code"


def test_the_revision_is_that_of_the_last_commit(code, monkeypatch):
    expected = git("-C", "code", "rev-parse", "--short", "HEAD")
    assert git_revision(code) == expected
    monkeypatch.setenv("GIT_DIR", "/elsewhere")  # as in a hook of another work tree
    assert git_revision(code) == expected


def test_changed_files_are_marked_dirty(code):
    (code / "module.py").write_text("one = 2\n")
    assert git_revision(code) == git("-C", "code", "rev-parse", "--short", "HEAD") + "-dirty"


def test_a_folder_in_the_work_tree_of_another_project_has_none(code):
    (code / "site-packages").mkdir()
    assert git_revision(code / "site-packages") is None


@pytest.mark.parametrize("spoil", [".git/HEAD", "no commit", "no git"])
def test_a_failing_git_is_no_error(code, monkeypatch, spoil):
    if spoil == "no commit":
        git("init", "new")
        code = code.with_name("new")
    elif spoil == "no git":
        monkeypatch.setenv("PATH", str(code))
    else:
        (code / spoil).unlink()
    assert git_revision(code) is None
