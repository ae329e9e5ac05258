"""What a training says that somebody ends: how to go on."""

import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.utilities.exceptions import SIGTERMException

from callbacks.files import shown


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
