import json
import socket
import threading
from contextlib import contextmanager

import pytest

from litzoo.scripts.cli import lifeline
from litzoo.scripts.cli.lifeline import FirstProcess, OtherProcess

HOST = "127.0.0.1"


@pytest.fixture
def ended(monkeypatch):
    """Notes who would be ended, and how, instead of ending the tests."""
    codes = []
    monkeypatch.setattr(lifeline.os, "_exit", codes.append)
    monkeypatch.setattr(FirstProcess, "_force", lambda self: None)
    yield codes
    for thread in threading.enumerate():
        if thread.name == "lifeline":  # none may live on to end the tests in earnest
            thread.join(10)


@contextmanager
def two():
    first = FirstProcess(2, HOST, [], lambda: None)
    other = OtherProcess(1, 2, (HOST, first.port), first.token)
    first.gather()
    yield first, other
    other._first.close()


def heard(other):
    other._listening.join(10)
    assert not other._listening.is_alive()


def test_a_failure_of_the_other_is_told_by_the_first_which_ends_it(ended, capsys):
    with two() as (first, other):
        other.fail(["a reason"])  # goes on here, where it is not ended by the answer, and tells it itself too
        assert first.over.is_set()
        heard(other)
    assert capsys.readouterr().err == 2 * "\na reason\n"
    assert ended == [1]


def test_only_the_first_reason_is_told(ended, capsys):
    with two() as (first, other):
        first.fail(["the first"])
        first.fail(["the second"])
        heard(other)
    assert capsys.readouterr().err == "\nthe first\n"


@pytest.mark.parametrize("who", ["first", "other"])
def test_one_that_is_done_ends_nobody(who, ended, capsys):
    with two() as (first, other):
        (first if who == "first" else other).close()
        (other if who == "first" else first).close()
        heard(other)
    assert not ended
    assert capsys.readouterr().err == ""


def test_strangers_are_not_listened_to(ended, capsys, monkeypatch):
    monkeypatch.setattr(lifeline, "GRACE", 0.1)
    first = FirstProcess(2, HOST, [], lambda: None)
    with socket.create_connection((HOST, first.port)) as stranger:
        stranger.sendall(lifeline._greeting("0" * len(first.token), 1) + json.dumps(["a lie"]).encode() + b"\n")
        first.gather()
    assert not first.over.is_set()
    assert capsys.readouterr().err == ""


def test_a_stranger_that_says_nothing_does_not_keep_the_others_out(ended, capsys):
    first = FirstProcess(2, HOST, [], lambda: None)
    with socket.create_connection((HOST, first.port)):
        other = OtherProcess(1, 2, (HOST, first.port), first.token)
        first.gather()
    first.fail(["a reason"])
    heard(other)
    assert ended == [1]
    assert capsys.readouterr().err == "\na reason\n"
