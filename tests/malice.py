"""Things that leave a file behind where they are run."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

RAN = Path("the-code-ran")
SOURCE = f"import pathlib\npathlib.Path({str(RAN)!r}).touch()\n"


class RunsCode:
    """Unpickled, it does."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (RAN,)


def source_that_runs() -> dict[str, Any]:
    """Options that have torch compile and run a source."""
    body = {"_code": f"{SOURCE}def forward(self, *inputs):\n    pass\n"}
    return {
        "class_path": "torch.fx.graph_module.reduce_graph_module",
        "init_args": {"body": body, "import_block": ""},
    }


@pytest.fixture
def evil_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module `evil` that can be imported, with a loss and a function; importing it does."""
    Path("evil.py").write_text(
        f"{SOURCE}from torch import nn\nclass Loss(nn.CrossEntropyLoss):\n    pass\ndef run(*inputs):\n    pass\n"
    )
    monkeypatch.syspath_prepend(".")
    yield
    sys.modules.pop("evil", None)
