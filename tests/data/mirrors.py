"""Serves files from this machine: torchvision downloads from no `file://`."""

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest


class QuietHandler(SimpleHTTPRequestHandler):
    """Says nothing of what it serves."""

    def log_message(self, *_):
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves a folder, and gives the address."""
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("no_proxy", "127.0.0.1")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
        thread = Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:  # also after a failed assertion; the thread would keep the process alive
            server.shutdown()
            thread.join()
            server.server_close()


@contextmanager
def mnist_served(dataset: type, source: Path, folder: Path) -> Iterator[None]:
    """Packs the files of a data set in MNIST's format, and lets torchvision download them and know their checksums."""
    with served(folder) as address, pytest.MonkeyPatch.context() as patched:
        resources = []
        for file in sorted((source / dataset.__name__ / "raw").iterdir()):
            packed = folder / f"{file.name}.gz"
            packed.write_bytes(gzip.compress(file.read_bytes()))
            resources.append((packed.name, hashlib.md5(packed.read_bytes()).hexdigest()))
        patched.setattr(dataset, "mirrors", [address])
        patched.setattr(dataset, "resources", resources)
        yield
