"""Where what goes wrong is told: once, whichever of a run's processes it happens in."""

import os
import shlex
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.utilities.exceptions import SIGTERMException

from litzoo.callbacks.files import shown
from litzoo.scripts.cli.errors import explain, forget_output
from litzoo.scripts.cli.lifeline import FirstProcess, OtherProcess
from litzoo.scripts.cli.meeting import expect, meeting
from litzoo.scripts.cli.run_folder import discard_if_empty, is_first_process


class Interrupted(SystemExit):
    """Ends the process with the exit status of one that a signal has ended, 128 + its number.

    Args:
        number: Of the signal.
        advice: What to tell the user.
    """

    def __init__(self, number: signal.Signals, advice: str) -> None:
        super().__init__(128 + number)
        self.advice = advice


@contextmanager
def interruptible(words: Sequence[str], folder: Path) -> Iterator[None]:
    """Turns Ctrl-C and SIGTERM, which Lightning lets end a training with a status of 1 and 0, into `Interrupted`.

    Args:
        words: The command line.
        folder: Of the run.
    """
    try:
        yield
    except SIGTERMException:
        raise Interrupted(signal.SIGTERM, f"ended by SIGTERM; {how_to_go_on(words, folder)}") from None
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and not isinstance(ended.__context__, KeyboardInterrupt):
            raise
        raise Interrupted(signal.SIGINT, f"ended by Ctrl-C; {how_to_go_on(words, folder)}") from None


def how_to_go_on(words: Sequence[str], folder: Path) -> str:
    """Says with what command a run goes on.

    Args:
        words: The command line that it was trained with.
        folder: Of the run.
    """
    last = folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return "no epoch was finished, so that there is nothing to go on with"
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] == "--ckpt_path":
            kept.pop()
        elif not word.startswith("--ckpt_path="):
            kept.append(word)
    return f"it goes on after its last whole epoch with\n{shlex.join(['litzoo', *kept, '--ckpt_path', shown(last)])}"


DEBUG = "LITZOO_DEBUG"
"""Set where `--debug` was given, for the processes that this one starts."""
WAIT = 3.0
"""Seconds that a process waits for another one's word before it tells what may follow from that, or be the same."""
INTERRUPTIONS = (KeyboardInterrupt, SIGTERMException)

_lifeline: FirstProcess | OtherProcess | None = None


def watch(trainer: Trainer) -> None:
    """Sees to it that all processes of a trainer end when one of them fails, and that why is told once.

    They are connected as soon as they know each other, before anything is downloaded or set up.
    """
    strategy: Any = trainer.strategy
    if isinstance(strategy.launcher, _SubprocessScriptLauncher):
        strategy.setup_environment = partial(_connect, trainer, strategy.setup_environment)
        trainer.callbacks.insert(0, _TellsFailures())  # type: ignore[attr-defined]
        expect(trainer)


def end_at_once(trainer: Trainer) -> None:
    """Has SIGTERM end what a trainer does. Lightning's own answer is to look for it at the end of a training step.

    In several processes it is a broadcast, wherever they are: the others may wait for another one.
    """
    trainer._signal_connector._sigterm_notifier_fn = _terminate  # type: ignore[assignment, method-assign]


def leave() -> None:
    """Says that this process is done, and lets the others go on."""
    global _lifeline
    if _lifeline is not None:
        _lifeline.close()
        _lifeline = None


def tell_errors(action: Callable[[], object]) -> None:
    """Does something; what goes wrong is told in a few lines, or with `--debug` on the command line in full."""
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ[DEBUG] = "1"
    try:
        action()
    except Interrupted as ended:
        if is_first_process():
            print("", f"litzoo: {ended.advice}", sep="\n", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except SIGTERMException:
        _end_by(signal.SIGTERM, "SIGTERM")
    except SystemExit as ended:
        if not isinstance(ended.__context__, KeyboardInterrupt):  # which Lightning ends with a status of 1
            raise
        _end_by(signal.SIGINT, "Ctrl-C")
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            forget_output()
        tell(error)
        sys.exit(1)


def tell(error: BaseException) -> None:
    """Tells what went wrong, in a few lines or for `--debug` in full.

    Of several processes one tells it for all. What goes wrong in one because another one is gone is not told.
    """
    if _lifeline is not None:
        if _may_follow(error):
            _lifeline.over.wait(WAIT)
        _lifeline.fail(_lines(error))
        return
    if DEBUG in os.environ:
        raise error
    if not is_first_process():
        time.sleep(3 * WAIT)  # the first one most likely tells the same, and what has started them ends this one
    print("", *_lines(error), sep="\n", file=sys.stderr)  # the empty line ends a progress bar's


class _TellsFailures(Callback):
    """Tells of an error before the trainer tears anything down, which can hang on a GPU that waits for others."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if _lifeline is not None:
            tell(exception)


def _connect(trainer: Trainer, set_up_environment: Any) -> None:
    if _lifeline is not None or trainer.world_size == 1:
        set_up_environment()
        return
    end_at_once(trainer)
    with meeting(trainer, discard_if_empty):
        set_up_environment()
        _hold_lifeline(trainer)


def _hold_lifeline(trainer: Trainer) -> None:
    global _lifeline
    strategy: Any = trainer.strategy
    host = "127.0.0.1" if trainer.num_nodes == 1 else ""
    if trainer.is_global_zero:
        first = FirstProcess(trainer.world_size, host, strategy.launcher.procs, discard_if_empty)
        strategy.broadcast((first.port, first.token))
        first.gather()
        _lifeline = first
        return
    port, token = strategy.broadcast(None)
    address = (host or os.environ["MASTER_ADDR"], port)
    try:
        _lifeline = OtherProcess(trainer.global_rank, trainer.world_size, address, token)
    except OSError as error:
        warnings.warn(
            f"process {trainer.global_rank} does not reach the first one at {address} ({error}): if another one fails, "
            "it may not hear of it, and wait",
            stacklevel=2,
        )


def _end_by(number: signal.Signals, name: str) -> NoReturn:
    if is_first_process():
        print("", f"litzoo: ended by {name}", sep="\n", file=sys.stderr)
    sys.exit(128 + number)


def _terminate(signum: int, frame: Any) -> NoReturn:
    raise SIGTERMException


def _may_follow(error: BaseException) -> bool:
    """Says whether an error may come of what has happened to another process, or to all."""
    if isinstance(error, INTERRUPTIONS):
        return isinstance(_lifeline, OtherProcess)
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error) or "NCCL" in str(error)


def _lines(error: BaseException) -> list[str]:
    if isinstance(error, INTERRUPTIONS):
        if isinstance(_lifeline, FirstProcess):
            return []  # `tell_errors` says how to go on
        return [f"litzoo: ended by {'Ctrl-C' if isinstance(error, KeyboardInterrupt) else 'SIGTERM'}"]
    lines = traceback.format_exception(error) if DEBUG in os.environ else explain(error)
    if isinstance(_lifeline, OtherProcess):
        lines.insert(-1, f"This was in process {_lifeline.rank} of {_lifeline.processes}, on {socket.gethostname()}.")
    return lines
