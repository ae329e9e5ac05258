"""Looks for wrong labels in a whole data set, by cross-validation.

usage: litzoo audit --config CONFIG [--folds 5] [--output FOLDER] [OPTIONS]

CONFIG is a YAML file or a shipped experiment (`litzoo configs` lists them); OPTIONS are those of `litzoo fit`, such as
`--trainer.max_epochs 5`. The labeled samples of the training, validation and test set are divided into folds. For each
fold the experiment's model is trained on the other folds, and predicts this one: so every label is judged by a model
that has not seen it. The models are thrown away. It writes to FOLDER, `runs/<experiment>/audit` by default:

  report.html                a page to look at the suspects and to decide: keep, relabel or drop
  suspects.csv               all samples, the most suspicious label first; whether a sample has a copy with another
                             label, or is far from every class
  label_issues.json          how many labels are flagged, for each pair of classes, and the noise matrix
  proposed_corrections.csv   all flagged labels with the suggested one

The page downloads your decisions as corrections.csv; `litzoo fit --data.corrections corrections.csv` applies them. An
audit with `--data.corrections corrections.csv` judges the corrected labels; its page downloads corrections_2.csv.
An interrupted audit goes on with the next fold when the command is repeated.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.cli import LightningCLI
from torch import Tensor

from litzoo import callbacks
from litzoo.callbacks.contracts import HasClassNames, PredictsLogits
from litzoo.callbacks.evaluation import evaluate_part
from litzoo.callbacks.files import atomic_write, display_path, read_json, write_json
from litzoo.datamodules.class_labels import ClassLabels
from litzoo.datamodules.counted import counted
from litzoo.datamodules.splits.record import fingerprint
from litzoo.scripts.audit.page import download_of
from litzoo.scripts.audit.pool import folds_of, pool_of, serve_fold
from litzoo.scripts.audit.report import write_report
from litzoo.scripts.cli.failures import report_errors_or_help
from litzoo.scripts.cli.litzoo_cli import LitzooCLI
from litzoo.scripts.cli.main import run
from litzoo.scripts.cli.run_options import flat_options

RECORD = "audit.json"
SHOWN_ONLY = ("logger", "default_root_dir", "enable_progress_bar", "enable_model_summary", "data.root")
"""Options that do not decide what the folds predict, or that `content` stands for."""
DATA_HASHES = {"labels": "the samples or their labels", "content": "the samples' content"}


def main() -> None:
    """Runs `litzoo audit`."""
    report_errors_or_help(__doc__, lambda: audit(sys.argv[2:]))


def audit(arguments: list[str]) -> Path:
    """Audits the data that a command line of `litzoo fit` trains on.

    Args:
        arguments: As on the command line, after `litzoo audit`.

    Returns:
        The folder of the report.

    Raises:
        TypeError: If the data have no classes, or the module does not predict them.
        ValueError: If there are too many folds, or the folder holds something else.
    """
    parser = argparse.ArgumentParser("litzoo audit", add_help=False, allow_abbrev=False)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    own, others = parser.parse_known_args(arguments)
    if own.folds < 2:
        raise ValueError(f"--folds {own.folds}: give at least 2")
    cli = _AuditCLI.created(others)
    datamodule = cli.datamodule
    _check(cli.model, datamodule)
    folder = own.output or Path(cli.options.trainer.default_root_dir) / cli.options.experiment / "audit"
    datamodule.prepare_data()
    for stage in ("fit", "test"):
        datamodule.setup(stage)
    pool = pool_of(datamodule)
    folds = list(folds_of(pool, own.folds, datamodule.seed, datamodule.class_names))
    record = {
        "labels": pool.fingerprint(),
        "content": pool.content(),
        "division": fingerprint(**{f"fold_{number}": held_out for number, (_, held_out) in enumerate(folds)}),
        "folds": own.folds,
        "options": _options_of(cli),
    }
    _claim(folder, record)
    if not_used := datamodule.unused_samples():
        print(
            f"{counted(not_used, 'training sample is', 'training samples are')} not judged, since "
            "data.train_size or data.imbalance leaves them out; --data.train_size null --data.imbalance null judges all"
        )
    for number, (train, held_out) in enumerate(folds):
        path = folder / f"fold_{number}.pt"
        if path.exists():
            print(f"fold {number + 1} of {own.folds}: has been judged, {display_path(path.absolute())}")
            continue
        print(f"fold {number + 1} of {own.folds}: {len(train):,} samples to train on, {len(held_out):,} to judge")
        if number:
            cli = _AuditCLI.created(others)
        serve_fold(datamodule, pool, train, held_out)
        outputs = _train_and_predict(cli, datamodule)
        with atomic_write(path) as temporary:
            torch.save(outputs, temporary)
    outputs = _joined([torch.load(folder / f"fold_{k}.pt", weights_only=True) for k in range(own.folds)])
    print(write_report(folder, outputs, pool, datamodule, cli.model.class_names))
    if applied := datamodule.applied_corrections:
        both = ", ".join([*applied.files, download_of(datamodule)])
        print(f"The labels are those after {applied.file}: train with both, --data.corrections '[{both}]'")
    return folder


class _AuditCLI(LitzooCLI):
    """Parses the command line of `litzoo fit`, and instantiates all but its run folder, logger and checkpoints."""

    @classmethod
    def created(cls, arguments: list[str]) -> Any:
        """Returns what the options of `litzoo fit` create."""
        return run(["fit", *arguments], cls)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Creates a trainer that writes nothing, and keeps only callbacks that change the training."""
        given = self.config_init["fit"].trainer.callbacks or []
        given = given if isinstance(given, list) else [given]
        kept = [each for each in given if _changes_training(each)]
        self.held_out, self.save_config_callback = _HeldOut(), None
        return LightningCLI.instantiate_trainer(
            self,
            logger=False,
            enable_checkpointing=False,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            callbacks=[*self._defaults(), *kept, self.held_out],
        )

    def _defaults(self) -> list[Callback]:
        bar = [] if self.config_init["fit"].trainer.enable_progress_bar is False else [callbacks.EpochProgressBar()]
        return [callbacks.EpochSeed(), *bar, callbacks.FiniteLoss()]

    def _run_subcommand(self, subcommand: str) -> None:
        """Does not train."""


class _HeldOut(Callback):
    """Predicts the held-out fold when training has ended."""

    outputs: dict[str, Tensor] | None = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Runs the model on the held-out fold."""
        self.outputs = evaluate_part(trainer, pl_module, "val", "predictions", features=True)


def _changes_training(callback: Callback) -> bool:
    """Whether a callback changes what is learned; but early stopping would look at the held-out fold."""
    return type(callback).__module__.startswith("litzoo.callbacks.training") and not isinstance(callback, EarlyStopping)


def _check(module: Any, datamodule: Any) -> None:
    if not isinstance(datamodule, ClassLabels):
        raise TypeError(f"litzoo audit judges labels of classes, which {type(datamodule).__name__} does not have")
    if not isinstance(module, PredictsLogits) or not isinstance(module, HasClassNames):
        raise TypeError(
            f"litzoo audit needs predicted probabilities, which {type(module).__name__} does not have: choose a "
            "classifier"
        )
    if getattr(module, "semi_supervised", False):
        raise TypeError("litzoo audit trains on labeled samples only: leave out model.pseudo_labels")


def _claim(folder: Path, record: dict[str, Any]) -> None:
    """Makes the folder of an audit, or checks that it is that of the same audit."""
    if not folder.exists() or not any(folder.iterdir()):
        write_json(folder / RECORD, record)
        return
    found = read_json(folder / RECORD)
    if found == json.loads(json.dumps(record)):
        return
    what = "something else"
    if found:
        what = f"another audit: {'; '.join(_differences(found, json.loads(json.dumps(record))))}"
    raise ValueError(f"{display_path(folder.absolute())} holds {what}; remove the folder, or give another --output")


def _options_of(cli: Any) -> dict[str, Any]:
    """Returns the options that decide what the folds predict, name -> value, whichever way they were given."""
    options = cli.options.as_dict()
    trainer = {name: value for name, value in options["trainer"].items() if name not in SHOWN_ONLY}
    chosen = {name: options.get(name) for name in ("seed_everything", "data", "model")} | {"trainer": trainer}
    return {name: value for name, value in flat_options(chosen).items() if name not in SHOWN_ONLY}


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Says what differs between the records of two audits."""
    texts = [f"{what} have changed" for name, what in DATA_HASHES.items() if before.get(name) != now[name]]
    if before.get("folds") != now["folds"]:
        texts.append(f"folds was {before.get('folds')}, is {now['folds']}")
    old, new = before.get("options"), now["options"]
    if not isinstance(old, dict):
        return [*texts, "its options are not recorded"]
    names = [name for name in dict.fromkeys([*new, *old]) if old.get(name) != new.get(name)]
    texts += [f"--{name} was {old.get(name)}, is {new.get(name)}" for name in names]
    return texts or ["the samples were divided into other folds, by another version of litzoo"]


def _train_and_predict(cli: Any, datamodule: Any) -> dict[str, Tensor]:
    cli.trainer.fit(cli.model, datamodule=datamodule)
    outputs: dict[str, Tensor] | None = cli.held_out.outputs
    if outputs is None:
        raise KeyboardInterrupt
    probabilities = outputs["logits"].float().softmax(dim=1)
    features = outputs["features"].half() if "features" in outputs else torch.zeros(len(probabilities), 0)
    return {"position": outputs["index"].cpu(), "probabilities": probabilities.cpu(), "features": features.cpu()}


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Returns the outputs of all folds in the order of their positions, with the number of the fold."""
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    joined["fold"] = torch.cat([torch.full((len(part["position"]),), k) for k, part in enumerate(parts)])
    order = torch.argsort(joined["position"])
    return {name: values[order] for name, values in joined.items()}
