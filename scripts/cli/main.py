"""The command `litzoo`: runs a sub-command of Lightning's command line, from the terminal or from Python."""

import os
import sys
from collections.abc import Callable

from lightning.pytorch.cli import ArgsType

from litzoo.scripts.cli.arguments import check_config_files, check_words
from litzoo.scripts.cli.errors import filter_messages
from litzoo.scripts.cli.failures import report_errors
from litzoo.scripts.cli.launch import end_with_launcher
from litzoo.scripts.cli.litzoo_cli import LitzooCLI
from litzoo.scripts.cli.run_folder import discard_if_empty, release_claims, reset_run_folder
from litzoo.scripts.cli.workers import leave_group, meet_anew
from litzoo.scripts.configs import with_shipped_configs


def run(args: ArgsType = None, command: Callable[[ArgsType], LitzooCLI] = LitzooCLI) -> LitzooCLI:
    """Runs the command in this process and lets errors through; `args` as on the command line, for use in Python."""
    words = sys.argv[1:] if args is None else args
    if isinstance(words, list):
        check_words(words)
        check_config_files(with_shipped_configs(words))
    # A checkpoint may be untrusted: no code in it may run.
    os.environ.setdefault("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    filter_messages()
    reset_run_folder()
    end_with_launcher()
    meet_anew()
    try:
        return command(args)
    except BaseException as error:
        release_claims()
        if not isinstance(error, SystemExit) or error.code:
            discard_if_empty()
        raise


def main() -> None:
    """Runs the command."""
    report_errors(run)
    leave_group()
