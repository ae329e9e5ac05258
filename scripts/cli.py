"""The command `litzoo`: Lightning's command line, with the zoo's run folder, callbacks and error messages."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, LearningRateMonitor, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException

import callbacks as zoo
import datamodules  # noqa: F401 (so that class names can be given without their package)
import lit_modules  # noqa: F401
from callbacks.checkpoint_io import write_atomically
from scripts.changed_options import warn_of_changed_options
from scripts.checkpoints import (
    check_checkpoint,
    check_code,
    check_data,
    check_fits,
    find_checkpoint,
    settle_overridden,
)
from scripts.command_words import check_words
from scripts.config_files import check_config_files
from scripts.failures import DEBUG, leave, tell, watch
from scripts.hooks import skip_empty_hooks
from scripts.interruption import Interrupted, interruptible
from scripts.links import add_links, check_links, class_at
from scripts.machine_errors import forget_output
from scripts.option_checks import check_options, check_processes
from scripts.profiler import NoProfiler
from scripts.run_folder import (
    discard_if_empty,
    forget_run_folder,
    is_first_process,
    new_run_folder,
    run_folder_of_checkpoint,
)
from scripts.run_lock import alone_in

DESCRIPTION = """Trains, validates, tests and predicts with what a YAML file names.

For example: litzoo fit --config configs/digits_cnn.yaml --trainer.max_epochs 5
"""


class LitzooCLI(LightningCLI):
    """Lightning's command line: one YAML file names a module, a datamodule, a loss, an optimizer and callbacks."""

    def __init__(self, args: ArgsType = None) -> None:
        self._words = sys.argv[1:] if args is None else args if isinstance(args, list) else []
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            save_config_kwargs={"overwrite": True},
            parser_kwargs={
                "exit_on_error": False,
                "prog": "litzoo",
                "description": DESCRIPTION,
                **{name: {"exit_on_error": False} for name in self.subcommands()},
            },
            args=args,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Takes away options that would do nothing here: the zoo prints its own table and loads plain weights only.

        Where one is asked for, the parsers of the others are not made: that takes longer than parsing.
        """
        every = {name: skip | {"verbose", "weights_only"} for name, skip in LightningCLI.subcommands().items()}
        asked = self._words[0] if self._words else None
        return {asked: every[asked]} if asked in every else every

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the zoo's own options, and the links from the datamodule to the module."""
        parser.add_argument(
            "--experiment", type=str | None, help="Name of the run's folder; the name of the config file if left out."
        )
        parser.add_argument(
            "--test_after_fit", type=bool, default=True, help="Whether `fit` tests the best checkpoint."
        )
        parser.add_class_arguments(zoo.BestCheckpoint, "checkpoint")
        parser.set_defaults({"trainer.default_root_dir": "runs"})
        add_links(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses, names the experiment and finds the checkpoint, before anything is built."""
        super().parse_arguments(parser, args)
        self.options = options = self.config[self.config.subcommand]
        files = options.get("config") or []
        if options.experiment is None:
            options.experiment = Path(str(files[0])).stem if files else "unnamed"
        check_options(options)
        if self.config.subcommand != "fit" or options.ckpt_path is not None:
            runs = Path(options.trainer.default_root_dir)
            options.ckpt_path = str(find_checkpoint(options.ckpt_path, runs, options.experiment))
            check_checkpoint(options.ckpt_path, resumed=self.config.subcommand == "fit")
            check_code(options.ckpt_path, options.model)
        self._asked_model = options.model.clone()

    def before_instantiate_classes(self) -> None:
        """Checks that the datamodule and the module fit, and that the checkpoint is of this module."""
        options = self.options = self.config[self.config.subcommand]
        if options.get("data") is None:
            raise ValueError("no datamodule: name one with --data, or give an experiment with --config")
        settle_overridden(self._asked_model, options.model, options.ckpt_path)
        check_links(class_at(options.data.class_path), class_at(options.model.class_path))

    def after_instantiate_classes(self) -> None:
        """Checks that the checkpoint's weights fit the module, and that it was trained on such data."""
        if self.options.ckpt_path:
            check_fits(self.options.ckpt_path, self.model)
            check_data(self.options.ckpt_path, self.datamodule)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Makes the trainer, with the run folder, TensorBoard in it, and the zoo's callbacks beside the user's."""
        built = self.config_init[self.config.subcommand]
        resumed = run_folder_of_checkpoint(Path(self.options.ckpt_path)) if self.options.ckpt_path else None
        self.run_folder = resumed or new_run_folder(Path(built.trainer.default_root_dir), self.options.experiment)
        if built.trainer.logger is not False:
            # The first logger's folder is where Lightning puts all files of a run.
            board = TensorBoardLogger(self.run_folder, name="", version="", default_hp_metric=False)
            kwargs["logger"] = [board, *_as_list(built.trainer.logger)]
        if built.trainer.profiler is None:
            kwargs["profiler"] = NoProfiler()
        if resumed or self.config.subcommand != "fit":
            self.save_config_callback = None  # the config that the run was started with stays
        if resumed and self.config.subcommand == "fit":
            warn_of_changed_options(self.config_dump, resumed / "config.yaml")
        kwargs["callbacks"] = self._callbacks(built)
        trainer = super().instantiate_trainer(default_root_dir=str(self.run_folder), **kwargs)
        watch(trainer)
        skip_empty_hooks(trainer.callbacks)  # type: ignore[attr-defined]
        write_atomically(trainer)
        check_processes(trainer)
        return trainer

    def _callbacks(self, built: Namespace) -> list[Callback]:
        """Returns the user's callbacks between the defaults that the user has neither replaced nor switched off.

        Checkpoint callbacks are called last of all, in their order here: `best`, the user's, `last`. As `last` holds
        what the others have kept so far, it has to follow them: a kill between two leaves the `last` of the epoch
        before, and the resumed run trains the epoch again and keeps the same again. The other way round, an epoch would
        count as done whose best weights nobody has kept.
        """
        given = _as_list(built.trainer.callbacks)
        unwanted: list[type] = []
        if built.trainer.logger is False:
            unwanted.append(LearningRateMonitor)
        if built.trainer.enable_progress_bar is False or any(isinstance(callback, ProgressBar) for callback in given):
            unwanted.append(ProgressBar)
        if built.trainer.enable_checkpointing is False:
            unwanted.append(Checkpoint)
        replaced = {type(callback) for callback in given}

        def kept(*defaults: Callback) -> list[Callback]:
            return [each for each in defaults if type(each) not in replaced and not isinstance(each, tuple(unwanted))]

        # The seed comes before whatever may draw.
        before = kept(zoo.EpochSeed(), zoo.ExactResume(), built.checkpoint)
        return [*before, *given, *kept(*default_callbacks(self.model, self.datamodule), zoo.LastCheckpoint())]

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs it: a training alone in its run folder, and so that who ends it is told how to go on."""
        if subcommand != "fit":
            super()._run_subcommand(subcommand)
            return
        with alone_in(self.run_folder), interruptible(self._words, self.run_folder):
            super()._run_subcommand(subcommand)

    def after_fit(self) -> None:
        """Tests the best checkpoint."""
        if self.trainer.received_sigterm:  # when training was over already
            raise SIGTERMException
        if self.options.test_after_fit and not self.trainer.interrupted:
            best = getattr(self.trainer.checkpoint_callback, "best_model_path", None) or None
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)

    def validate(self, **arguments: Any) -> None:
        """Validates without Lightning's table, which `RunSummary` replaces."""
        self.trainer.validate(verbose=False, **arguments)

    def test(self, **arguments: Any) -> None:
        """Tests without Lightning's table, which `RunSummary` replaces."""
        self.trainer.test(verbose=False, **arguments)


def default_callbacks(model: LightningModule, datamodule: LightningDataModule) -> list[Callback]:
    """Returns the callbacks of every run; one of the same class in the configuration takes the place of its default."""
    figures: list[Callback] = []
    if isinstance(model, zoo.NamesClasses) and isinstance(datamodule, zoo.ShowsTestPictures):
        figures = [zoo.PredictionGrid(), zoo.ConfusionMatrixFigure()]
    pool = [zoo.PseudoLabelReport()] if isinstance(getattr(model, "pseudo_labels", None), zoo.LearnsPool) else []
    return [
        zoo.EpochProgressBar(),
        zoo.FiniteLoss(),
        zoo.AgreedStop(),
        LearningRateMonitor(),
        *pool,
        zoo.TrainingCurves(),
        *figures,
        zoo.PredictionsCSV(),
        zoo.RunRecord(),
        zoo.SplitSummary(),
        zoo.RunSummary(),
    ]


def run(args: ArgsType = None, command: type[LitzooCLI] = LitzooCLI) -> LitzooCLI:
    """Runs the command in this process and lets errors through; `args` as on the command line, for use in Python."""
    words = sys.argv[1:] if args is None else args
    if isinstance(words, list):
        check_words(words)
        check_config_files(words)
    # A checkpoint may come from anywhere: nothing in it may run.
    os.environ.setdefault("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    for useless in (
        ".*does not have many workers",  # the data are in memory
        ".*no learning rate schedulers",  # then there is nothing to log
        ".*smaller than the logging interval",  # metrics are logged once an epoch anyway
        ".*isinstance.treespec, LeafSpec.",  # a matter between Lightning and torch
        ".*args parameter is intended",
        "Total length of `list`",  # validation is off
        "Checkpoint directory .* exists and is not empty",  # a resumed run goes on in its folder
        "Using `DistributedSampler` with the dataloaders",  # metrics count each sample once
    ):
        warnings.filterwarnings("ignore", useless)
    tips = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    tips.addFilter(_no_tip)
    forget_run_folder()
    try:
        done = command(args)
    except BaseException:
        discard_if_empty()
        raise
    leave()
    return done


def main() -> None:
    """Runs the command."""
    tell_errors(run)


def tell_errors(action: Callable[[], object]) -> None:
    """Does something; what goes wrong is told in a few lines, or with `--debug` on the command line in full."""
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ[DEBUG] = "1"
    try:
        action()
    except Interrupted as ended:
        if is_first_process():
            print("", f"litzoo: {ended.advice}", sep="\n", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        sys.exit(130)
    except SIGTERMException:
        if is_first_process():
            print("", "litzoo: ended by SIGTERM", sep="\n", file=sys.stderr)
        sys.exit(128 + signal.SIGTERM)
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            forget_output()
        tell(error)
        sys.exit(1)


def _no_tip(record: logging.LogRecord) -> bool:
    """Keeps out advertisements for other packages."""
    return "Tip:" not in record.getMessage()


def _as_list(given: Any) -> list[Any]:
    """Returns what an option of the trainer names, one thing or several, without Lightning's `True` for a default."""
    return [] if given in (None, True) else list(given) if isinstance(given, list) else [given]


if __name__ == "__main__":
    main()
