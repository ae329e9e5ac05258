import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from litzoo.datamodules.io import downloads
from litzoo.datamodules.io.downloads import download_once
from tests.counted import count


def write_files(root, folder, content="whole"):
    place = Path(root) / folder.name
    place.mkdir(exist_ok=True)
    for name in ("a", "b"):
        (place / name).write_text(content)


def holds(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_are_put_in_place_and_nothing_else_is_left(tmp_path):
    folder = tmp_path / "deep" / "data" / "set"
    download_once(folder, lambda root: write_files(root, folder))
    assert holds(folder) == {"a": "whole", "b": "whole"}
    assert list(folder.parent.iterdir()) == [folder]


def test_what_is_there_is_not_downloaded_again(tmp_path):
    folder = tmp_path / "set"
    write_files(tmp_path, folder, "old")
    download_once(folder, lambda root: write_files(root, folder, "new"))
    assert holds(folder) == {"a": "old", "b": "old"}


def test_nobody_sees_a_half_finished_download(tmp_path):
    folder = tmp_path / "set"
    seen = []

    def download(root):
        write_files(root, folder, "half")
        seen.append(folder.exists())
        write_files(root, folder)

    download_once(folder, download)
    assert seen == [False]
    assert holds(folder) == {"a": "whole", "b": "whole"}


def test_two_downloads_at_once_both_end_well(tmp_path):
    folder = tmp_path / "set"
    both_are_in, both_are_done = Barrier(2, timeout=30), Barrier(2, timeout=30)

    def run(name):
        def download(root):
            both_are_in.wait()
            write_files(root, folder, name)
            both_are_done.wait()

        download_once(folder, download)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, ["first", "second"])) == [None, None]
    assert holds(folder) in ({"a": name, "b": name} for name in ("first", "second"))
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("error", [RuntimeError("no route"), OSError("no route"), ValueError("no route")])
def test_a_failed_download_leaves_nothing_and_says_what_to_do(tmp_path, error):
    folder = tmp_path / "set"

    def download(root):
        write_files(root, folder)
        raise error

    with pytest.raises(FileNotFoundError, match=r"no route.*--data\.root.*LITZOO_DATA_DIR") as raised:
        download_once(folder, download)
    assert str(folder) in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_brings_another_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="set is absent"):
        download_once(tmp_path / "set", lambda root: write_files(root, tmp_path / "other"))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(tmp_path):
    folder = tmp_path / "set"

    def download(root):
        write_files(root, folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_once(folder, download)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileNotFoundError, match="set is absent and cannot be created"):
        download_once(tmp_path / "file" / "set", lambda root: None)


def test_two_processes_that_download_at_once_both_end_well(tmp_path):
    folder = tmp_path / "set"
    program = (
        "import pathlib, runpy, sys\n"
        "def download(root):\n"
        "    folder = pathlib.Path(root, 'set'); folder.mkdir()\n"
        "    print('in', flush=True); sys.stdin.readline()\n"
        "    [(folder / name).write_text(sys.argv[3]) for name in 'ab']\n"
        "    print('done', flush=True); sys.stdin.readline()\n"
        "runpy.run_path(sys.argv[1])['download_once'](pathlib.Path(sys.argv[2]), download)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, downloads.__file__, str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    for said in ("in\n", "done\n"):  # each step in both before the next in either
        assert [process.stdout.readline() for process in processes] == [said, said]
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    assert holds(folder) in ({"a": name, "b": name} for name in ("first", "second"))
    assert list(tmp_path.iterdir()) == [folder]
    count("processes tried", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_download_is_no_data_set_and_the_next_one_succeeds(tmp_path):
    folder = tmp_path / "set"
    program = (
        "import pathlib, runpy, sys, time\n"
        "def download(root):\n"
        "    folder = pathlib.Path(root, 'set'); folder.mkdir(); (folder / 'a').write_text('half')\n"
        "    print('half', flush=True); time.sleep(60)\n"
        "runpy.run_path(sys.argv[1])['download_once'](pathlib.Path(sys.argv[2]), download)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, downloads.__file__, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert not folder.exists()
    download_once(folder, lambda root: write_files(root, folder))
    assert holds(folder) == {"a": "whole", "b": "whole"}
