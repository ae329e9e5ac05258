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

from litzoo.scripts.cli.checkpoint_options import add_prediction_options, checkpoint_parser, require_checkpoint

LOCAL = "127.0.0.1"


def main() -> None:
    """Runs `litzoo try`, until it is interrupted."""
    words = [word for word in sys.argv[2:] if word != "--debug"]
    checkpoint = Path(_parser().parse_args(words).ckpt_path)
    print(f"loading {checkpoint.name} for the page ...", flush=True)  # torch alone takes seconds
    from litzoo.scripts.cli.errors import filter_messages
    from litzoo.scripts.cli.failures import report_errors

    filter_messages()
    report_errors(lambda: serve(words).block_thread())


def serve(words: Sequence[str]) -> Any:
    """Starts the page that a command line asks for; returns the gradio app, whose `local_url` is its address.

    Raises:
        FileNotFoundError: If the checkpoint is not there.
        ModuleNotFoundError: If gradio is not installed.
        OSError: If the port is taken.
        ValueError: If an argument or the checkpoint is not valid.
    """
    options = _parser().parse_args(words)
    require_checkpoint(f"--ckpt_path {options.ckpt_path}", options.ckpt_path)
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
    parser = checkpoint_parser("litzoo try", __doc__, "litzoo try --ckpt_path CHECKPOINT [OPTIONS]")
    add = parser.add_argument
    add("--host", default=LOCAL, help=f"address to serve on; default: {LOCAL}, this machine alone")
    add("--port", type=int, default=0, help="port; default: a free one")
    add_prediction_options(parser)
    return parser
