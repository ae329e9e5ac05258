"""The page of an audit: one HTML file with the suspects, to decide on each of them."""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from litzoo.callbacks.contracts import HasTrainImages
from litzoo.callbacks.label_issues.report import doubt, rare_classes
from litzoo.datamodules.counted import counted
from litzoo.scripts.audit.pool import Pool
from litzoo.scripts.audit.problems import nearest_in_fold

TEMPLATE = Path(__file__).with_name("page.html")
THUMBNAIL, NEIGHBOUR = 160, 64
"""Largest side of the image of a suspect, and of a neighbour, in pixels."""
NEIGHBOURS = 4
SIZE = 28_000_000
"""Bytes of all images in the page at most; beyond it the least suspicious ones go without neighbours, then images."""


def page_of(
    columns: Mapping[str, Sequence[Any]],
    found: Mapping[str, Any],
    places: Tensor,
    shown: Tensor,
    copies: Tensor,
    outputs: Mapping[str, Tensor],
    pool: Pool,
    datamodule: Any,
    class_names: Sequence[str],
) -> str:
    """Returns the page.

    Args:
        columns: Those of `suspects.csv`.
        found: What `label_issues.json` holds.
        places: Rows of the columns with the samples to show, int64 `[m]`.
        shown: Their positions in the pool, int64 `[m]`.
        copies: Position of a copy with another label, int64 `[m]`; -1 for none.
        outputs: `position`, `features` and `fold` of all samples, in the order of their positions.
        pool: The samples.
        datamodule: Where they are from.
        class_names: Names in the order of the labels.
    """
    images = _Images(pool, datamodule) if isinstance(datamodule, HasTrainImages) else None
    near = _neighbours(shown, outputs) if images is not None else torch.zeros(len(shown), 0, dtype=torch.int64)
    suspects = []
    for place, position, copy, others in zip(
        places.tolist(), shown.tolist(), copies.tolist(), near.tolist(), strict=True
    ):
        kinds = {"label": columns["flagged"][place], "copy": copy >= 0, "far": columns["far"][place]}
        suspect: dict[str, Any] = {
            name: columns[name][place]
            for name in ("rank", "part", "index", "file", "content_id", "given", "suggested", "probability", "reason")
            if name in columns
        }
        suspect["kinds"] = [name for name, is_found in kinds.items() if is_found]
        if not kinds["label"]:  # the model predicts the label as given
            suspect["suggested"] = class_names[int(pool.targets[copy])] if copy >= 0 else suspect["given"]
        if images is not None:
            suspect["image"] = images.thumbnail(position, THUMBNAIL)
            if images.left(SIZE):
                suspect["neighbours"] = [
                    {"image": images.thumbnail(other, NEIGHBOUR), "given": class_names[int(pool.targets[other])]}
                    for other in dict.fromkeys([*([copy] if copy >= 0 else []), *others][:NEIGHBOURS])
                ]
        suspects.append(suspect)
    content = {
        "suspects": suspects,
        "classes": list(class_names),
        "labels": found["labels"],
        "fingerprint": pool.fingerprint(),
        "file": download_of(datamodule),
    }
    data = json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")
    title = html.escape(
        f"{found['flagged']:,} of {found['labels']:,} labels are flagged; "
        f"{counted(found['copies_with_other_label'], 'sample has', 'samples have')} a copy with another label, "
        f"{counted(found['far'], 'is', 'are')} far from every class"
    )
    same = found["agreement"]["predicted_as_labelled"]
    note = doubt(found["agreement"]) or f"The models predict {same:.1%} of the labels, which they have not seen"
    note = html.escape(". ".join(filter(None, [note, rare_classes(found["few_labels"])])) + ".")
    page = TEMPLATE.read_text(encoding="utf-8")
    page = page.replace("{{file}}", download_of(datamodule))
    return page.replace("{{title}}", title).replace("{{note}}", note).replace("{{data}}", data)


def download_of(datamodule: Any) -> str:
    """Returns the name of the file that the page downloads; it has a number after the first round of corrections."""
    applied = datamodule.applied_corrections
    return f"corrections_{len(applied.files) + 1}.csv" if applied else "corrections.csv"


class _Images:
    """Thumbnails of samples as data URIs: of their files if they are files, else of what the model is given."""

    def __init__(self, pool: Pool, datamodule: Any) -> None:
        self.pool, self.bytes = pool, 0
        folder = getattr(datamodule, "folder", None)
        names = pool.files(datamodule, torch.arange(len(pool.rows))) if folder is not None else []
        self.paths = [Path(folder) / name for name in names] if folder is not None else []
        self.reader = getattr(datamodule, "reader", None)
        self.made: dict[tuple[int, int], str] = {}

    def left(self, size: int) -> bool:
        """Whether the images so far take less than so many bytes."""
        return self.bytes < size

    def thumbnail(self, position: int, side: int) -> str:
        """Returns an image scaled to a largest side; an empty text when the page is full."""
        key = (position, side)
        if key not in self.made:
            if not self.left(SIZE):
                return ""
            image = self._image(position)
            scale = side / max(image.size)
            if scale < 1:
                image.thumbnail((side, side), Image.Resampling.LANCZOS)
            elif scale >= 2:  # small images are shown enlarged, pixel by pixel
                image = image.resize((image.width * int(scale), image.height * int(scale)), Image.Resampling.NEAREST)
            stream = io.BytesIO()
            image.save(stream, "JPEG", quality=80)
            self.made[key] = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
            self.bytes += len(self.made[key])
        return self.made[key]

    def _image(self, position: int) -> Image.Image:
        if self.paths and self.reader is not None:
            return self.reader.decode(self.paths[position]).convert("RGB")
        pixels = self.pool.rows[torch.tensor(position)].permute(1, 2, 0).squeeze(-1)
        return Image.fromarray(pixels.numpy()).convert("RGB")


def _neighbours(shown: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
    """Returns the positions of the samples with the most similar features, within the same fold, int64 `[m, 4]`."""
    position, fold = outputs["position"], outputs["fold"]
    rows = torch.searchsorted(position, shown)
    count = min(NEIGHBOURS, int(torch.bincount(fold).min()) - 1)
    near = torch.zeros(len(shown), count, dtype=torch.int64)
    for number in fold.unique().tolist():
        inside, places = (torch.nonzero(numbers == number)[:, 0] for numbers in (fold, fold[rows]))
        near[places] = position[nearest_in_fold(outputs["features"], rows[places], inside, count)[0]]
    return near
