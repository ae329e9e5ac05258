"""Lightning's command line with a run folder, default callbacks, checks, and the processes of a run."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any, Literal, NoReturn

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from litzoo import (
    callbacks,
    datamodules,  # noqa: F401 (so that class names can be given without their package)
    lit_modules,  # noqa: F401
)
from litzoo.callbacks.checkpoints.atomic_io import use_atomic_checkpoints
from litzoo.datamodules.restored import restored_from
from litzoo.lit_modules.mixed_precision import WHY, slow_on_this_cpu
from litzoo.scripts.cli.automatic_resume import (
    checkpoint_to_resume,
    mark_finished,
    run_finished_before_restart,
)
from litzoo.scripts.cli.changed_options import warn_of_changed_options
from litzoo.scripts.cli.checkpoints import (
    check_checkpoint,
    check_code,
    check_data,
    check_fits,
    checkpoint_beside_config,
    config_of_run,
    find_checkpoint,
    settle_model_options,
)
from litzoo.scripts.cli.classes import class_at
from litzoo.scripts.cli.default_callbacks import default_callbacks, with_defaults
from litzoo.scripts.cli.failures import EndAtOnce, ErrorReport, interruptible
from litzoo.scripts.cli.launch import check_processes, launch, trainer_to_launch
from litzoo.scripts.cli.links import add_links, check_links
from litzoo.scripts.cli.options import check_options, with_class_paths
from litzoo.scripts.cli.run_folder import (
    is_first_process,
    is_launched,
    lock_run_folder,
    new_run_folder,
    release_claims,
    remember_event_files,
    run_folder_of_checkpoint,
)
from litzoo.scripts.cli.run_options import distinguishing_options
from litzoo.scripts.cli.workers import decided_by_first, settle_devices
from litzoo.scripts.configs import with_configs_first, with_shipped_configs

DESCRIPTION = """Trains, validates, tests and predicts with what a YAML file names.

For example: litzoo fit --config configs/digits_cnn.yaml --trainer.max_epochs 5
"""

WITHOUT_EFFECT = {"verbose", "weights_only", "return_predictions"}
"""Lightning's options: litzoo prints its own table, loads plain weights only, and leaves predictions to callbacks."""
RESUMED = "LITZOO_RESUMED"
"""Environment variable with the checkpoint that the launcher has chosen for `--resume auto`, empty for a new run."""


class LitzooCLI(LightningCLI):
    """Lightning's command line: one YAML file names a module, a datamodule, a loss, an optimizer and callbacks."""

    def __init__(self, args: ArgsType = None) -> None:
        self._is_command, self._chooses_later = args is None, False
        args = sys.argv[1:] if args is None else args
        self._arguments = args if isinstance(args, list) else []
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
            # The record of the run has the names of configs as they were typed.
            args=with_class_paths(with_shipped_configs(with_configs_first(args))) if isinstance(args, list) else args,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Removes options that have no effect here.

        Only the parser of the given sub-command is created, since creating one takes longer than parsing.
        """
        every = {name: skip | WITHOUT_EFFECT for name, skip in LightningCLI.subcommands().items()}
        given = self._arguments[0] if self._arguments else None
        return {given: every[given]} if given in every else every

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds litzoo's own options, and the links from the datamodule to the module."""
        parser.add_argument(
            "--experiment", type=str | None, help="Name of the run's folder; the name of the config file if left out."
        )
        parser.add_argument(
            "--test_after_fit", type=bool, default=True, help="Whether `fit` tests the best checkpoint."
        )
        parser.add_argument(
            "--resume",
            type=Literal["auto"] | None,
            help="With `auto`, `fit` goes on with the experiment's newest run that was not trained to its end, if no "
            "other process trains it, and begins a new one otherwise.",
        )
        parser.add_class_arguments(callbacks.BestCheckpoint, "checkpoint")
        parser.set_defaults({"trainer.default_root_dir": "runs"})
        add_links(parser, self._arguments)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parses, names the experiment, finds the checkpoint and launches processes, before anything is built."""
        super().parse_arguments(parser, args)
        self.options = options = self.config[self.config.subcommand]
        files = options.get("config") or []
        if options.experiment is None:
            options.experiment = Path(str(files[0])).stem if files else "unnamed"
        check_options(options)
        settle_devices(options.trainer)
        launched = trainer_to_launch(options.trainer) if self._is_command else None
        if launched:
            warnings.simplefilter("ignore")  # the processes of the run warn of the same
        if options.resume:
            self._resume_automatically(launched)
        if self.config.subcommand != "fit" or options.ckpt_path is not None:
            runs = Path(options.trainer.default_root_dir)
            own = config_of_run(files)
            if own and self.config.subcommand != "fit":
                options.ckpt_path = checkpoint_beside_config(own, options.ckpt_path)
            options.ckpt_path = str(find_checkpoint(options.ckpt_path, runs, options.experiment, own))
            self._checkpoint = check_checkpoint(options.ckpt_path, resumed=self.config.subcommand == "fit")
            check_code(options.ckpt_path, self._checkpoint, options.model)
        if launched:
            self._launch(launched)
        self._given_model = options.model.clone()

    def _resume_automatically(self, launched: Trainer | None) -> None:
        """Sets the checkpoint that `--resume auto` chooses, the same in all processes."""
        options = self.options
        if self.config.subcommand != "fit" or options.ckpt_path is not None:
            reason = "only a fit is resumed" if self.config.subcommand != "fit" else f"so does {options.ckpt_path}"
            raise ValueError(
                f"--resume auto: chooses a checkpoint, but {reason}; give one of --resume and --ckpt_path, to a fit"
            )
        options.resume = None  # the command that repeats the run from its config.yaml begins anew
        if launched and launched.num_nodes > 1:
            self._chooses_later = True  # the processes of all launchers together
            return
        if is_launched() and RESUMED in os.environ:
            options.ckpt_path = os.environ[RESUMED] or None
            return
        self._dump_config()
        runs, every = Path(options.trainer.default_root_dir), self.__dict__.pop("config_dump")

        def choose() -> list[str | None]:
            finished = run_finished_before_restart(runs, options.experiment, every)
            return [finished, None if finished else checkpoint_to_resume(runs, options.experiment, every)]

        finished, options.ckpt_path = decided_by_first(choose)
        if finished:
            rank_zero_info(f"--resume auto: {finished} was finished before the restart; there is nothing left to do")
            sys.exit(0)
        if launched:
            release_claims()  # the first process of the run locks the folder
            os.environ[RESUMED] = options.ckpt_path or ""

    def before_instantiate_classes(self) -> None:
        """Checks that the datamodule and the module fit, and that the checkpoint is of this module."""
        options = self.options = self.config[self.config.subcommand]
        if options.get("data") is None:
            raise ValueError("no datamodule: name one with --data, or give an experiment with --config")
        settle_model_options(self._given_model, options.model, options.ckpt_path)
        check_links(class_at(options.data.class_path), class_at(options.model.class_path))

    def instantiate_classes(self) -> None:
        """Creates all; a datamodule knows what the checkpoint holds of it, since the module is made from that."""
        with restored_from(self._checkpoint if self.options.ckpt_path else {}):
            super().instantiate_classes()

    def after_instantiate_classes(self) -> None:
        """Checks that the checkpoint's weights fit the module, and that it was trained on such data."""
        if self.options.ckpt_path:
            check_fits(self.options.ckpt_path, self._checkpoint, self.model)
            check_data(self.options.ckpt_path, self._checkpoint, self.datamodule)
            del self._checkpoint  # as large as the model

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Creates the trainer, with the run folder, TensorBoard in it, and litzoo's callbacks beside the user's."""
        built = self.config_init[self.config.subcommand]
        resumed = self._resumed_folder()
        self.run_folder = resumed or self._new_folder()
        if resumed and is_first_process():
            remember_event_files(resumed)
        if self.config.subcommand in ("predict", "validate"):
            # An empty event file would be a run in TensorBoard, and a validation a point at step 0 of the curves.
            kwargs["logger"] = False
        elif built.trainer.logger is not False:
            # The first logger's folder is where Lightning puts all files of a run.
            board = TensorBoardLogger(self.run_folder, name="", version="", default_hp_metric=False)
            kwargs["logger"] = [board, *_as_list(built.trainer.logger)]
        if resumed or self.config.subcommand != "fit":
            self.save_config_callback = None  # the config that the run was started with stays
        if resumed and self.config.subcommand == "fit":
            warn_of_changed_options(self.config_dump, resumed / "config.yaml")
        self._dump_config()
        distinguishing = distinguishing_options(self.config_dump)
        precision = built.trainer.precision
        if slow_on_this_cpu(precision, built.trainer.accelerator) and not built.trainer.plugins:
            kwargs["precision"] = "32-true"  # only here: the config goes to other machines
            rank_zero_info(f"trainer.precision: 32-true instead of {precision}, since {WHY}")
        given = _as_list(built.trainer.callbacks)
        defaults = default_callbacks(self.model, self.datamodule, distinguishing)
        kwargs["callbacks"] = with_defaults(given, built.checkpoint, defaults, built.trainer)
        trainer = super().instantiate_trainer(default_root_dir=str(self.run_folder), **kwargs)
        if self._is_command:
            trainer.callbacks[:0] = [ErrorReport(), EndAtOnce()]  # type: ignore[attr-defined]
        use_atomic_checkpoints(trainer)
        check_processes(trainer)
        return trainer

    def _launch(self, trainer: Trainer) -> NoReturn:
        """Starts the processes of the run, and exits when they have ended."""
        if self.options.ckpt_path:
            del self._checkpoint  # as large as the model
        folder = None
        if LightningEnvironment().node_rank() == 0 and not self._chooses_later:
            folder = self._resumed_folder() or self._new_folder()
        launch(self._arguments, trainer, folder if self.config.subcommand == "fit" else None)

    def _resumed_folder(self) -> Path | None:
        return run_folder_of_checkpoint(Path(self.options.ckpt_path)) if self.options.ckpt_path else None

    def _new_folder(self) -> Path:
        return new_run_folder(Path(self.options.trainer.default_root_dir), self.options.experiment)

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs it; a training locks its run folder, and is resumable when interrupted."""
        if subcommand != "fit":
            super()._run_subcommand(subcommand)
            return
        with lock_run_folder(self.run_folder), interruptible(self._arguments, self.run_folder):
            super()._run_subcommand(subcommand)
            if is_first_process() and not self.trainer.interrupted:
                mark_finished(Path(self.run_folder))

    def after_fit(self) -> None:
        """Tests the best checkpoint."""
        if self.trainer.received_sigterm:  # when training was over already
            raise SIGTERMException
        if self.options.test_after_fit and not self.trainer.interrupted:
            best = getattr(self.trainer.checkpoint_callback, "best_model_path", None) or None
            if not best and not self.trainer.global_step:
                rank_zero_warn(
                    "Nothing was trained: the test is that of the model's initial weights. Give --trainer.max_epochs "
                    "of at least 1, or --test_after_fit false"
                )
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)

    def validate(self, **arguments: Any) -> None:
        """Validates without Lightning's table, which `RunSummary` replaces."""
        self.trainer.validate(verbose=False, **arguments)

    def test(self, **arguments: Any) -> None:
        """Tests without Lightning's table, which `RunSummary` replaces."""
        self.trainer.test(verbose=False, **arguments)

    def predict(self, **arguments: Any) -> None:
        """Predicts without returning predictions, which callbacks write: masks of all images would fill the memory.

        Raises:
            FileNotFoundError: If data are absent; for the test set, the message names the way that needs none.
        """
        try:
            self.trainer.predict(return_predictions=False, **arguments)
        except FileNotFoundError as error:
            of_test_set = getattr(self.datamodule, "predicted_input", None) is None
            is_alone = {"images", "reading"} & set(getattr(self.datamodule, "restored", ()))
            if error.errno is not None or not (of_test_set and is_alone):
                raise
            raise FileNotFoundError(
                f"{error}\nNew samples need no training data: `litzoo predict --ckpt_path {self.options.ckpt_path} "
                "--input FOLDER_OR_FILE`"
            ) from error


def _as_list(given: Any) -> list[Any]:
    """Returns what an option of the trainer names, one thing or several, without Lightning's `True` for a default."""
    return [] if given in (None, True) else list(given) if isinstance(given, list) else [given]
