"""Opens a local web page to try a trained checkpoint on drawings, images or the rows of a table.

A model of grey images has a canvas to draw on, every model of images a field to drop a file on, and a model of tables a
form with its columns. The page shows class, probabilities and whether the sample is unknown, as `litzoo predict` does.
It needs `pip install 'litzoo[web]'`, and loads nothing from the internet.
"""

import argparse
import ipaddress
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litzoo.scripts.cli.errors import filter_messages
from litzoo.scripts.cli.failures import report_errors

LOCAL = "127.0.0.1"


def main() -> None:
    """Runs `litzoo try`, until it is interrupted."""
    filter_messages()
    report_errors(lambda: serve(sys.argv[2:]).block_thread())


def serve(words: Sequence[str]) -> Any:
    """Starts the page that a command line asks for; returns the gradio app, whose `local_url` is its address.

    Raises:
        FileNotFoundError: If the checkpoint is not there.
        ModuleNotFoundError: If gradio is not installed.
        OSError: If the port is taken.
        ValueError: If an argument or the checkpoint is not valid.
    """
    options = _parser().parse_args(words)
    if not Path(options.ckpt_path).is_file():
        raise FileNotFoundError(f"--ckpt_path {options.ckpt_path}: there is no such file; name one, such as best.ckpt")
    if not 0 <= options.port < 2**16:
        raise ValueError(f"--port {options.port}: is no port; give 1024 to 65535, or 0 for a free one")
    if find_spec("gradio") is None:
        raise ModuleNotFoundError("litzoo try: needs gradio: `pip install 'litzoo[web]'`")
    from litzoo.scripts.predict.loading import named_class
    from litzoo.scripts.predict.predictor import Predictor
    from litzoo.scripts.web.page import build, launch

    predictor = Predictor.load(
        options.ckpt_path,
        named_class(options.module) if options.module else None,
        device=options.device,
        value_range=options.value_range,
    )
    if not _is_local(options.host):
        warnings.warn(
            f"--host {options.host}: everyone who reaches this machine can use the page, without a password",
            stacklevel=2,
        )
    app = build(predictor, Path(options.ckpt_path).name)
    launch(app, options.host, options.port)
    print(f"{app.local_url} shows the page; Ctrl-C ends it", flush=True)
    return app


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "litzoo try",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="litzoo try --ckpt_path CHECKPOINT [OPTIONS]",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--ckpt_path", required=True, help="checkpoint, such as runs/NAME/version_0/checkpoints/best.ckpt")
    add("--host", default=LOCAL, help=f"address to serve on; default: {LOCAL}, this machine alone")
    add("--port", type=int, default=0, help="port; default: a free one")
    add("--device", default="auto", help="cpu, cuda, cuda:1 or mps; default: a GPU if there is one")
    black_white = "pixels that are black and white in images of more than 8 bits: 0 4095; default: those of training"
    add("--value_range", type=float, nargs=2, metavar=("LOW", "HIGH"), help=black_white)
    add("--module", help="class path of the module, if it is not one of litzoo's: my_code.MyClassifier")
    return parser
