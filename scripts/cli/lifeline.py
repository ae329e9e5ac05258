"""Connections of every process of a run to the first one: when one fails or dies, why is told once, and all end."""

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from signal import Signals
from typing import Any

GRACE = 10.0
"""Seconds that a process has to end by itself once it is told to."""
DONE = "done\n"
ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 5}
"""A machine that is silent is asked after 15 s, every 5 s, and taken for dead after 5 questions: 40 s in all."""
LOST = "ended without a word: it was killed, or crashed"


class FirstProcess:
    """The first process's end of the connections. A thread waits at each, which costs nothing until there is a word.

    A word is why the other process has failed, or that it is done. One that is killed says nothing, but its connection
    ends.

    Args:
        processes: Of the run.
        host: Address to listen at.
        children: The processes that this one has started, if it has, in the order of their ranks.
        clean_up: What to do before this process is ended by force.
    """

    def __init__(
        self, processes: int, host: str, children: list[subprocess.Popen], clean_up: Callable[[], None]
    ) -> None:
        self.processes = processes
        self.children = children
        self.clean_up = clean_up
        self.token = secrets.token_hex(8)  # no stranger's connection counts
        self.over = threading.Event()
        self._ending: list[subprocess.Popen] = []
        self._others: list[socket.socket] = []
        self._lock = threading.Lock()
        self._server = socket.create_server((host, 0), backlog=processes)
        self.port = self._server.getsockname()[1]

    def gather(self) -> None:
        """Waits for the other processes; one that cannot connect has no part in this."""
        deadline = time.monotonic() + 3 * GRACE
        while len(self._others) < self.processes - 1 and (left := deadline - time.monotonic()) > 0:
            self._server.settimeout(left)
            with suppress(OSError, ValueError):
                other = self._server.accept()[0]
                other.settimeout(min(left, GRACE / 3))  # a stranger may say nothing
                token, rank = other.recv(len(_greeting(self.token, 0)), socket.MSG_WAITALL).split()
                if token.decode() == self.token:
                    _keep_alive(other)
                    self._others.append(other)
                    start_thread(self._listen, int(rank), other)
        self._server.close()

    def fail(self, lines: list[str]) -> None:
        """Tells why the run has failed, unless that has been told, and ends the other processes.

        Args:
            lines: To print; none where this process tells it later.
        """
        with self._lock:
            if not self.over.is_set():
                say(lines)
                self._end(json.dumps(lines) + "\n")
                # Lightning looks after these too, but would end this process by force.
                self._ending, self.children[:] = list(self.children), []
                start_thread(self._force)
        deadline = time.monotonic() + GRACE
        for child in self._ending:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
            child.kill()

    def close(self) -> None:
        """Says that this process is done."""
        with self._lock:
            self._end(DONE)

    def _end(self, word: str) -> None:
        self.over.set()
        for other in self._others:
            with suppress(OSError):
                other.sendall(word.encode())

    def _force(self) -> None:
        time.sleep(2 * GRACE)
        self.clean_up()
        os._exit(1)

    def _listen(self, rank: int, other: socket.socket) -> None:
        word = _word(other)
        if word != DONE and not self.over.is_set():
            self.fail(json.loads(word) if word else lost(rank, self.processes, self._fate(rank)))

    def _fate(self, rank: int) -> str:
        if rank <= len(self.children):
            with suppress(subprocess.TimeoutExpired, ValueError):
                return f"was ended by {Signals(-self.children[rank - 1].wait(1)).name}"
        return LOST


class OtherProcess:
    """The connection of a process that is not the first one: a word from there, or the connection's end, ends this one.

    Args:
        rank: Of this process, from 1.
        processes: Of the run.
        address: Host and port of the first process.
        token: By which that one knows the processes of its run.

    Raises:
        OSError: If there is no connection.
    """

    def __init__(self, rank: int, processes: int, address: tuple[str, int], token: str) -> None:
        self.rank = rank
        self.processes = processes
        self.over = threading.Event()
        self._first = socket.create_connection(address, 3 * GRACE)
        _keep_alive(self._first)
        self._first.sendall(_greeting(token, rank))
        self._listening = start_thread(self._listen)

    def fail(self, lines: list[str]) -> None:
        """Lets the first process tell why this one has failed, or tells it itself where that one is done."""
        with suppress(OSError):
            self._first.sendall((json.dumps(lines) + "\n").encode())
        self._listening.join(GRACE)  # the answer ends this process
        say(lines)

    def close(self) -> None:
        """Says that this process is done."""
        self.over.set()
        with suppress(OSError):
            self._first.sendall(DONE.encode())

    def _listen(self) -> None:
        word = _word(self._first)
        if word == DONE or self.over.is_set():
            return
        if not word and self.rank == 1:  # one voice is enough
            say(lost(0, self.processes, LOST))
        sys.stdout.flush()
        os._exit(1)


def lost(rank: int, processes: int, how: str) -> list[str]:
    """Writes that a process of a run has ended, and how."""
    return [
        f"litzoo: error: process {rank} of {processes} {how}. The others were ended too",
        "If memory ran out, lower data.batch_size. `--ckpt_path last` goes on from the last checkpoint.",
    ]


def say(lines: list[str]) -> None:
    """Writes to stderr."""
    if lines:
        print("", *lines, sep="\n", file=sys.stderr, flush=True)  # the empty line ends a progress bar's


def _greeting(token: str, rank: int) -> bytes:
    return f"{token} {rank:8}".encode()


def _word(line: socket.socket) -> str:
    """Waits for a line; nothing if the connection ends first."""
    line.settimeout(None)
    try:
        with line.makefile(encoding="utf-8") as words:
            return words.readline()
    except OSError:
        return ""


def _keep_alive(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in ALIVE.items():
        if hasattr(socket, name):  # macOS lacks one
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def start_thread(action: Callable[..., None], *args: Any) -> threading.Thread:
    """Starts a thread that ends with its process."""
    thread = threading.Thread(target=action, args=args, daemon=True, name="lifeline")
    thread.start()
    return thread
