import errno
import os
import re
import sys
from contextlib import suppress

import torch

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
FOLDERS = "name a folder elsewhere with --trainer.default_root_dir or --data.root"


def told(error: BaseException) -> str:
    """Returns an error's own words, and where the machine lacks something the remedy, which no library can know."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in text:
        asked = re.search(r"tried to allocate (\d{9,}) bytes", text)
        amount = f"{int(asked[1]) / 2**30:,.0f} GiB asked for at once" if asked else text.splitlines()[0]
        return f"out of memory ({amount}); lower data.batch_size, data.eval_batch_size, or the widths of the model"
    if isinstance(error, BrokenPipeError):
        return "what reads the output of this command has ended; send the output to a file, or let the reader read on"
    if not isinstance(error, OSError) or error.errno is None:
        return re.sub(r"<([\w.]+) object at 0x\w+>", r"\1", text)
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return "the folder that this command was started in is gone; change into one that is there"
    what = f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno in NO_SPACE:
        return f"{what}; free some space, or {FOLDERS}"
    if error.errno in NOT_ALLOWED:
        return f"{what}; permit it, or {FOLDERS}"
    return what


def forget_output() -> None:
    """Sends what is still to be printed nowhere: Python itself would complain at its end that nobody reads it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
