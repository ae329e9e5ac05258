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
from litzoo.scripts.audit.pool import Pool

TEMPLATE = Path(__file__).with_name("page.html")
THUMBNAIL, NEIGHBOUR = 160, 64
"""Largest side of the image of a suspect, and of a neighbour, in pixels."""
NEIGHBOURS = 4
SIZE = 28_000_000
"""Bytes of all images in the page at most; beyond it the least suspicious ones go without neighbours, then images."""
CHUNK = 256


def page_of(
    columns: Mapping[str, Sequence[Any]],
    found: Mapping[str, Any],
    flagged: Tensor,
    outputs: Mapping[str, Tensor],
    pool: Pool,
    datamodule: Any,
    class_names: Sequence[str],
) -> str:
    """Returns the page.

    Args:
        columns: Those of `suspects.csv`, the flagged samples first.
        found: What `label_issues.json` holds.
        flagged: Positions of the flagged samples in the pool, in the order of the columns, int64 `[m]`.
        outputs: `position`, `features` and `fold` of all samples, in the order of their positions.
        pool: The samples.
        datamodule: Where they are from.
        class_names: Names in the order of the labels.
    """
    images = _Images(pool, datamodule) if isinstance(datamodule, HasTrainImages) else None
    near = _neighbours(flagged, outputs) if images is not None else torch.zeros(len(flagged), 0, dtype=torch.int64)
    suspects = []
    for place, position in enumerate(flagged.tolist()):
        suspect = {
            name: columns[name][place]
            for name in ("rank", "part", "index", "file", "given", "suggested", "probability", "reason")
            if name in columns
        }
        if images is not None:
            suspect["image"] = images.thumbnail(position, THUMBNAIL)
            if images.left(SIZE):
                suspect["neighbours"] = [
                    {"image": images.thumbnail(other, NEIGHBOUR), "given": class_names[int(pool.targets[other])]}
                    for other in near[place].tolist()
                ]
        suspects.append(suspect)
    content = {
        "suspects": suspects,
        "classes": list(class_names),
        "labels": found["labels"],
        "fingerprint": pool.fingerprint(),
    }
    data = json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")
    title = html.escape(f"{found['flagged']:,} of {found['labels']:,} labels are flagged")
    return TEMPLATE.read_text(encoding="utf-8").replace("{{title}}", title).replace("{{data}}", data)


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


def _neighbours(flagged: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
    """Returns the positions of the samples with the most similar features, within the same fold, int64 `[m, 4]`.

    Features of different folds are of different models, and cannot be compared.
    """
    position, fold = outputs["position"], outputs["fold"]
    features = torch.nn.functional.normalize(outputs["features"].float(), dim=1)
    rows = torch.searchsorted(position, flagged)
    count = min(NEIGHBOURS, int(torch.bincount(fold).min()) - 1)
    near = torch.zeros(len(flagged), count, dtype=torch.int64)
    for number in fold.unique().tolist():
        inside = torch.nonzero(fold == number)[:, 0]
        for places in torch.nonzero(fold[rows] == number)[:, 0].split(CHUNK):
            similar = features[rows[places]] @ features[inside].T
            similar[inside[None] == rows[places][:, None]] = -torch.inf
            near[places] = position[inside[similar.topk(count, dim=1).indices]]
    return near
