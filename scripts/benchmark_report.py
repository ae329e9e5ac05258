"""What the benchmarks write: where and when they measured, all numbers in a file, a table in docs/performance.md."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from callbacks.run_record import hardware
from scripts.tables import replace_between

DOCUMENT = Path("docs/performance.md")


def circumstances() -> dict[str, Any]:
    """Returns on what, with what and when this is measured."""
    return {
        "hardware": hardware(Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
    }


def shown(result: dict[str, Any]) -> str:
    """Writes the circumstances of a result."""
    return f"{result['hardware']}, torch {result['torch']}, {result['threads']} threads, {result['date']}"


def publish(name: str, result: dict[str, Any], text: str) -> None:
    """Keeps a result as `docs/results/<name>.json`, and puts the text between the marks of that name."""
    path = DOCUMENT.parent / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    replace_between(DOCUMENT, name, text)
