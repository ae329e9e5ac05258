"""The command `litzoo`: finds the sub-command, and imports torch only for those that need it."""

import gc
import os
import sys
from contextlib import suppress
from importlib import import_module

from litzoo import __version__

COMMANDS = {
    "fit": ("litzoo.scripts.cli.main", "train what a YAML file names, and test it"),
    "validate": ("litzoo.scripts.cli.main", "validate a trained checkpoint"),
    "test": ("litzoo.scripts.cli.main", "test a trained checkpoint"),
    "predict": ("litzoo.scripts.predict.command", "predict new images or rows with a trained checkpoint"),
    "export": ("litzoo.scripts.export.command", "write a trained checkpoint as one ONNX or torch file, for deployment"),
    "try": ("litzoo.scripts.web.command", "open a local web page to try a trained checkpoint"),
    "compare": ("litzoo.scripts.compare.command", "train several configs with several seeds, and compare them"),
    "sweep": ("litzoo.scripts.sweep.command", "search for the options with the best validation metric, with Optuna"),
    "open-set-splits": ("litzoo.scripts.open_set_splits", "train on random splits into known and unknown classes"),
    "show-data": ("litzoo.scripts.data_sheet.command", "draw what a config trains on, without training"),
    "audit": ("litzoo.scripts.audit.command", "look for wrong labels in a whole data set, by cross-validation"),
    "configs": ("litzoo.scripts.configs", "list the shipped experiments, or copy one here"),
}
"""Sub-command -> the module whose `main` runs it, and what it does."""


def usage() -> str:
    """Returns the list of sub-commands."""
    lines = [f"  {name:16} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: litzoo COMMAND [OPTIONS]",
            "",
            "PyTorch Lightning modules for few, wrong, imbalanced and unseen labels.",
            "",
            "commands:",
            *lines,
            "",
            "options:",
            "  -h, --help       this text; `litzoo COMMAND --help` lists the options of a command",
            "  --version        the version",
            "",
            "For example: litzoo fit --config digits_cnn --trainer.max_epochs 5",
        ]
    )


def main() -> None:
    """Runs the command line of this process."""
    with suppress(FileNotFoundError):  # a working folder that is gone is reported later
        if os.getcwd() not in sys.path:  # an installed script, unlike `python -m`, does not find a user's own classes
            sys.path.append(os.getcwd())
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(usage())
    elif words[0] == "--version":
        print(f"litzoo {__version__}")
    elif words[0] in COMMANDS:
        gc.disable()  # imports make a million objects and hardly any garbage: the search took a fifth of their time
        try:
            module = import_module(COMMANDS[words[0]][0])
        finally:
            gc.enable()
        module.main()
    else:
        sys.exit(_unknown(words[0]))


def _unknown(word: str) -> str:
    import difflib

    nearest = difflib.get_close_matches(word.lower().replace("_", "-"), COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean `litzoo {nearest[0]}`?" if nearest else f"one of {', '.join(COMMANDS)}"
    return f"litzoo: error: {word!a} is not a command; {hint}"


if __name__ == "__main__":
    main()
