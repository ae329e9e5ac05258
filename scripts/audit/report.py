"""The files of an audit."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from litzoo.callbacks.files import atomic_write, display_path, write_csv
from litzoo.callbacks.label_issues.ranking import ranking_quality, wrong_labels
from litzoo.callbacks.label_issues.report import (
    correction_columns,
    doubt,
    rare_classes,
    summary,
    suspect_columns,
    write_summary,
    write_suspects,
)
from litzoo.datamodules.counted import counted
from litzoo.lit_modules.label_judgement import judge_labels
from litzoo.scripts.audit.page import page_of
from litzoo.scripts.audit.pool import PARTS, Pool
from litzoo.scripts.audit.problems import problems_of


def write_report(folder: Path, outputs: dict[str, Tensor], pool: Pool, datamodule: Any, class_names: list[str]) -> str:
    """Judges all labels, writes the files, and returns what to print.

    Args:
        folder: Folder of the audit.
        outputs: `position` in the pool, `probabilities` `[n, K]`, `features` `[n, D]` and `fold` of all samples.
        pool: The samples.
        datamodule: Where they are from, for their images and file names.
        class_names: Names in the order of the labels.
    """
    position = outputs["position"]
    given = pool.targets[position]
    judgement = judge_labels(outputs["probabilities"], given)
    order = torch.argsort(judgement.log_odds, descending=True, stable=True)
    judgement = judgement.reordered(order)
    problems = problems_of(outputs, pool, datamodule).reordered(order)
    position, given = position[order], given[order]
    ranking = {
        "index": pool.index_of(position),
        "score": judgement.wrong,
        "given": given,
        "predicted": outputs["probabilities"][order].argmax(dim=1),
        "clean": pool.clean[position],
    }
    names = pool.files(datamodule, position)
    samples = {
        "part": [PARTS[part] for part in pool.part[position].tolist()],
        **({"file": names} if names else {}),
        **({"content_id": ids} if (ids := pool.content_ids(datamodule, position)) else {}),
    }
    every = pool.names(datamodule)
    columns = suspect_columns(ranking, judgement, class_names, samples) | problems.columns(every)
    more = problems.reasons(every, [class_names[label] for label in pool.targets.tolist()])
    columns["reason"] = [
        "; ".join(filter(None, [str(reason), *others])) for reason, others in zip(columns["reason"], more, strict=True)
    ]
    write_suspects(folder / "suspects.csv", columns)
    found = summary(given, judgement, class_names, ranking["predicted"])
    if not_used := datamodule.unused_samples():
        found["not_judged"] = not_used
    parts = torch.bincount(pool.part[position][: found["flagged"]], minlength=len(PARTS)).tolist()
    found["flagged_by_part"] = dict(zip(PARTS, parts, strict=True))
    found |= {"copies_with_other_label": int((problems.copy >= 0).sum()), "far": int(problems.far.sum())}
    write_summary(folder / "label_issues.json", found)
    write_csv(folder / "proposed_corrections.csv", correction_columns(columns))
    flagged = torch.arange(len(position)) < found["flagged"]
    shown = torch.nonzero(flagged | (problems.copy >= 0) | problems.far)[:, 0]
    page = page_of(columns, found, shown, position[shown], problems.copy[shown], outputs, pool, datamodule, class_names)
    with atomic_write(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    line = f"{found['flagged']:,} of {len(given):,} labels are flagged ("
    line += ", ".join(f"{count:,} {part}" for part, count in found["flagged_by_part"].items()) + ")"
    if quality := ranking_quality(wrong := wrong_labels(ranking)):
        line += f"; {int(wrong.sum()):,} are wrong, average precision {quality['average_precision']:.4f}"
    line += f"; the models predict {found['agreement']['predicted_as_labelled']:.1%} of the labels they have not seen"
    line += (
        f"; {counted(found['copies_with_other_label'], 'has', 'have')} a copy with another label, "
        f"{counted(found['far'], 'is', 'are')} far from every class"
    )
    if left_out := len(datamodule.left_out_files()):
        line += f"; {counted(left_out, 'file is', 'files are')} left out of the data, as warned, and not judged"
    line += f": {display_path((folder / 'report.html').absolute())}"
    return "\n".join(filter(None, [line, doubt(found["agreement"]), rare_classes(found["few_labels"])]))
