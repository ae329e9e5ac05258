"""Reports how a command fails or is interrupted: in a few lines, once for all processes of a run."""

import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from litzoo.callbacks import SynchronizedStop
from litzoo.callbacks.files import display_path
from litzoo.scripts.cli.errors import discard_output, explain
from litzoo.scripts.cli.run_folder import discard_if_empty, is_first_process, is_launched

DEBUG = "LITZOO_DEBUG"
"""Environment variable that is set after `--debug`, for the processes of the run."""
INTERRUPTIONS = (KeyboardInterrupt, SIGTERMException)
SECONDS_TO_WAIT = 8.0
"""How long an error waits that another process most likely reports."""


class Ended(SystemExit):
    """Ends the process with an exit status and a message to the user.

    Args:
        status: 128 + the number of a signal, as in a shell.
        message: What happened, and how to resume.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status)
        self.message = message


def signal_name(number: int) -> str:
    """Returns what a user calls a signal."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


@contextmanager
def interruptible(arguments: Sequence[str], run_folder: Path) -> Iterator[None]:
    """Turns Ctrl-C and SIGTERM into `Ended`; Lightning lets them end a training with the statuses 1 and 0.

    Args:
        arguments: Of the command line.
        run_folder: Of the training.
    """
    try:
        yield
    except (*INTERRUPTIONS, SystemExit) as interruption:
        if (number := _signal_of(interruption)) is None:
            raise
    else:
        return
    raise Ended(128 + number, f"ended by {signal_name(number)}; {how_to_resume(arguments, run_folder)}") from None


def how_to_resume(arguments: Sequence[str], run_folder: Path) -> str:
    """Returns the command that resumes a training, in words.

    Args:
        arguments: Of the command line that it was trained with.
        run_folder: Of the training.
    """
    last = run_folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return "no epoch was finished, so there is no checkpoint to resume from"
    if any(argument.partition("=")[0] == "--resume" for argument in arguments):
        return "the same command resumes after the last checkpoint"
    kept: list[str] = []
    for argument in arguments:
        if kept and kept[-1] == "--ckpt_path":
            kept.pop()
        elif not argument.startswith("--ckpt_path="):
            kept.append(argument)
    command = shlex.join(["litzoo", *kept, "--ckpt_path", display_path(last)])
    return f"resume from its last checkpoint with\n{command}"


def report_errors(action: Callable[[], object]) -> None:
    """Runs a command; its errors are reported in a few lines, or with `--debug` on the command line in full."""
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ[DEBUG] = "1"
    try:
        action()
    except Ended as ended:
        if is_first_process() and not is_launched():  # else the launcher reports it
            print("", f"litzoo: {ended.message}", sep="\n", file=sys.stderr)
        raise
    except (*INTERRUPTIONS, SystemExit) as interruption:
        if (number := _signal_of(interruption)) is None:
            raise
        if is_first_process() and not is_launched():
            print("", f"litzoo: ended by {signal_name(number)}", sep="\n", file=sys.stderr)
        sys.exit(128 + number)
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            discard_output()
        if DEBUG in os.environ:
            raise
        report(error)
        sys.exit(1)


def report_errors_or_help(description: str | None, action: Callable[[], object]) -> None:
    """Runs a command as `report_errors` does; prints its description instead if the command line asks for help."""
    wants_help = bool({"-h", "--help"} & set(sys.argv))
    report_errors((lambda: print((description or "").strip())) if wants_help else action)


def report(error: BaseException) -> None:
    """Prints what went wrong.

    The first process prints at once. The others most likely fail alike, and it may itself fail because another one has:
    such an error is printed later, unless the launcher has ended this process by then.
    """
    rank = getattr(rank_zero_only, "rank", 0)
    if rank or _may_follow_from_another(error):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(SECONDS_TO_WAIT)
    lines = "".join(traceback.format_exception(error)).splitlines() if DEBUG in os.environ else explain(error)
    prefix = f"[rank {rank}] " if rank else ""
    print("", prefix + lines[0], *lines[1:], sep="\n", file=sys.stderr, flush=True)  # "" ends a progress bar's line


class ErrorReport(Callback):
    """Ends one of several processes right after an error is reported: Lightning's teardown may wait for the others."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Reports all but Ctrl-C and SIGTERM, and exits.

        Raises:
            SIGTERMException: If the error follows from that of another process, and this one has received SIGTERM.
        """
        if trainer.world_size > 1 and not isinstance(exception, (*INTERRUPTIONS, SystemExit)):
            stops = [each for each in trainer.callbacks if isinstance(each, SynchronizedStop)]  # type: ignore[attr-defined]
            if _may_follow_from_another(exception) and any(each.received_sigterm for each in stops):
                raise SIGTERMException from exception
            report(exception)
            discard_if_empty()
            sys.stdout.flush()
            os._exit(1)


class EndAtOnce(Callback):
    """Lets SIGTERM end what is not resumed, an evaluation, at once; the message and exit status are ours.

    Lightning waits for the end of a training step, which an evaluation does not have, and broadcasts to the other
    processes, which may not listen any more. In a training, several processes agree (see `SynchronizedStop`).
    """

    def __init__(self) -> None:
        self._replaced: Any = None

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes over before and after the training of several processes."""
        if trainer.world_size > 1:
            self._replaced = signal.signal(signal.SIGTERM, _raise_sigterm)

    on_train_end = on_sanity_check_start

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gives way to `SynchronizedStop`."""
        if trainer.world_size > 1:
            signal.signal(signal.SIGTERM, self._replaced)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes over; not in a training's validation."""
        if trainer.state.fn != "fit":
            signal.signal(signal.SIGTERM, _raise_sigterm)

    on_validation_start = on_predict_start = on_test_start


def _raise_sigterm(number: int, frame: FrameType | None) -> NoReturn:
    raise SIGTERMException


def _signal_of(ended: BaseException) -> signal.Signals | None:
    """Returns the signal that an exception comes from; Lightning turns Ctrl-C into an exit with status 1."""
    if isinstance(ended, SIGTERMException):
        return signal.SIGTERM
    is_ctrl_c = isinstance(ended, KeyboardInterrupt) or isinstance(ended.__context__, KeyboardInterrupt)
    return signal.SIGINT if is_ctrl_c else None


def _may_follow_from_another(error: BaseException) -> bool:
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error) or "NCCL" in str(error)
