"""The files and the figure of a ranking of suspicious labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from litzoo.callbacks.files import write_csv, write_json
from litzoo.callbacks.reporting.figures import CaptionedImage, draw_image_rows, split_into_rows
from litzoo.callbacks.samples import ABSENT, label_names
from litzoo.datamodules.tables.naming import apart
from litzoo.lit_modules.label_judgement import LabelJudgement, pair_counts
from litzoo.lit_modules.noise_matrix import LEAST

_FIGURE_COLUMNS = 6
_LINE_CHARACTERS, _NAME_CHARACTERS = 20, 14
"""Length of a line, and of a name in it, above an image of a figure."""
LOW_AGREEMENT, CLEARLY_ABOVE = 0.7, 0.25
"""A model that predicts fewer of the labels is doubted, or so little of what the largest class leaves."""


def suspect_columns(
    ranking: Mapping[str, Tensor],
    judgement: LabelJudgement,
    class_names: Sequence[str],
    files: Mapping[str, Sequence[str]],
) -> dict[str, Sequence[object]]:
    """Returns the columns of `suspects.csv`, name -> values.

    They are `rank` (from 1), `index`, those of `files`, `given`, `predicted` (when the sample was last seen), `score`,
    `flagged`, `suggested` (the most probable other class by all predictions that the label is judged by), its
    `probability`, the `reason` (of flagged labels) and, if a true label is known, `true`.

    Args:
        ranking: From `rank_suspects`, like the next.
        judgement: In the order of the ranking.
        class_names: Names in the order of the labels.
        files: Columns that say which samples they are: `file`, or `content_id`; may be empty.
    """
    names, samples = label_names(class_names), len(ranking["index"])
    flagged = (judgement.wrong > 0.5).tolist()
    before: dict[str, Sequence[object]] = {"rank": range(1, samples + 1), "index": ranking["index"].tolist()}
    columns: dict[str, Sequence[object]] = {
        "given": [names[label] for label in ranking["given"].tolist()],
        "predicted": [names[label] for label in ranking["predicted"].tolist()],
        "score": [f"{score:.6g}" for score in ranking["score"].tolist()],
        "flagged": flagged,
        "suggested": [names[label] for label in judgement.suggested.tolist()],
        "probability": [f"{value:.4f}" for value in judgement.probability.tolist()],
        "reason": reasons(ranking["given"], judgement, names),
    }
    if bool((ranking["clean"] != ABSENT).any()):
        columns["true"] = [names[label] for label in ranking["clean"].tolist()]
    return before | apart(files, {*before, *columns}, "suspects.csv") | columns


def correction_columns(columns: Mapping[str, Sequence[object]]) -> dict[str, list[object]]:
    """Returns columns of a file of corrections that gives each flagged label the suggested one.

    Args:
        columns: From `suspect_columns`.
    """
    rows = [row for row, flagged in enumerate(columns["flagged"]) if flagged]
    names = [name for name in ("file", "part", "index", "content_id", "given") if name in columns]
    chosen = {name: [columns[name][row] for row in rows] for name in (*names, "suggested")}
    suggested = chosen.pop("suggested")
    return {**chosen, "action": ["relabel"] * len(rows), "label": suggested}


def reasons(given: Tensor, judgement: LabelJudgement, names: Sequence[str]) -> list[str]:
    """Says in words why labels are flagged; an empty text for those that are not.

    Args:
        given: The labels, int64 `[N]`.
        judgement: What the predictions say of them.
        names: Names in the order of the labels.
    """
    matrix = judgement.noise_matrix.tolist()
    texts = []
    for label, other, wrong in zip(given.tolist(), judgement.suggested.tolist(), judgement.wrong.tolist(), strict=True):
        text = ""
        if wrong > 0.5:
            text = f"probably {names[other]}; wrong with probability {wrong:.2f}"
            if (fraction := matrix[other][label]) >= 0.01:
                text += f"; of {names[other]}, about {fraction:.0%} are labelled {names[label]}"
        texts.append(text)
    return texts


def write_suspects(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    """Writes the columns of `suspect_columns` as CSV."""
    write_csv(path, columns)


def agreement(given: Tensor, predicted: Tensor) -> dict[str, float]:
    """Returns the fraction of labels that the model predicts too, and that of the most frequent label.

    Args:
        given: The labels, int64 `[N]`.
        predicted: The predicted classes, int64 `[N]`.
    """
    if not len(given):
        return {"predicted_as_labelled": 0.0, "largest_class": 0.0}
    same, most = (given == predicted).double().mean().item(), int(torch.bincount(given).max()) / len(given)
    return {"predicted_as_labelled": round(same, 4), "largest_class": round(most, 4)}


def doubt(found: Mapping[str, float]) -> str:
    """Returns a warning if the model is too weak to correct labels by it, else an empty text.

    Args:
        found: From `agreement`.
    """
    same, most = found["predicted_as_labelled"], found["largest_class"]
    if same >= LOW_AGREEMENT and same >= most + CLEARLY_ABOVE * (1 - most):
        return ""
    return (
        f"The model predicts only {same:.1%} of the labels as given (the largest class has {most:.1%}). Unless that "
        "many labels are wrong, most suggested labels are the model's own mistakes: train longer or take a better "
        "model before you correct by them"
    )


def rare_classes(few: Mapping[str, int]) -> str:
    """Returns a remark on classes that other samples are not found to belong to, else an empty text.

    Args:
        few: Name -> labels, from `summary`.
    """
    names = ", ".join(f"{name!r} ({count})" for name, count in few.items())
    return f"Too few labels to find others that belong there, at least {LEAST} are needed: {names}" if few else ""


def summary(given: Tensor, judgement: LabelJudgement, class_names: Sequence[str], predicted: Tensor) -> dict[str, Any]:
    """Returns how many labels are flagged, in total and for each pair of classes, and the estimated noise matrix.

    Args:
        given: The labels, int64 `[N]`.
        judgement: What the predictions say of them.
        class_names: Names in the order of the labels.
        predicted: The predicted classes, int64 `[N]`.
    """
    counts, every = pair_counts(given, judgement), torch.bincount(given, minlength=len(class_names)).tolist()
    order = torch.argsort(counts.flatten(), descending=True, stable=True).tolist()
    pairs = [divmod(position, len(counts)) for position in order if counts.flatten()[position]]
    return {
        "labels": len(given),
        "flagged": int(counts.sum()),
        "agreement": agreement(given, predicted),
        "few_labels": {name: n for name, n in zip(class_names, every, strict=True) if 0 < n < LEAST},
        "pairs": [
            {"given": class_names[given], "suggested": class_names[other], "flagged": int(counts[given, other])}
            for given, other in pairs
        ],
        "noise_matrix": {
            "rows": "true class",
            "columns": "label",
            "classes": list(class_names),
            "fractions": [[round(value, 4) for value in row] for row in judgement.noise_matrix.tolist()],
        },
    }


def write_summary(path: Path, content: Mapping[str, Any]) -> None:
    """Writes what `summary` returns as JSON."""
    write_json(path, content)


def draw_suspects(
    ranking: Mapping[str, Tensor],
    judgement: LabelJudgement,
    flagged: int,
    images: Tensor,
    class_names: Sequence[str],
    columns: int = _FIGURE_COLUMNS,
) -> Figure:
    """Draws the first samples of a ranking with given and suggested label, in red if the first is known to be wrong.

    Args:
        ranking: From `rank_suspects`, like the next.
        judgement: In the order of the ranking.
        flagged: How many labels are flagged, for the heading.
        images: Images of its first n samples, uint8 `[n, C, H, W]`.
        class_names: Names in the order of the labels.
        columns: Images in a row.
    """
    names, known = label_names(class_names), bool((ranking["clean"] != ABSENT).any())
    short, shown = [_short(name) for name in names], slice(len(images))
    suggested = [f"suggested {short[label]}" for label in judgement.suggested[shown].tolist()]
    chances = [f"({probability:.0%})" for probability in judgement.probability[shown].tolist()]
    # All on the line of the label, or all below it.
    fits = max((len(f"{one} {other}") for one, other in zip(suggested, chances, strict=True)), default=0)
    space = " " if fits <= _LINE_CHARACTERS else "\n"
    captioned = []
    labels = zip(images, *(ranking[name][shown].tolist() for name in ("given", "clean")), strict=True)
    for (image, given, clean), label, chance in zip(labels, suggested, chances, strict=True):
        caption = f"given {short[given]}\n{label}{space}{chance}"
        if clean != ABSENT:
            caption += f"\ntrue {short[clean]}"
        captioned.append(CaptionedImage(image, caption, "tab:red" if clean not in (ABSENT, given) else "black"))
    samples = len(ranking["index"])
    heading = f"{flagged:,} of {samples:,} training labels are flagged; the {len(images)} most suspicious"
    if known:
        heading += "; red: the label is wrong"
    return draw_image_rows(split_into_rows(captioned, columns), heading, columns)


def _short(name: str) -> str:
    """Returns the name of a class as it fits below an image."""
    return name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…"
