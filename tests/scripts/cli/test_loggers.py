import csv
from pathlib import Path

import pytest
import yaml

from tests.scripts.helpers import MLP, SHORT, litzoo

CSV = ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=csv"]
MLFLOW = [
    "--trainer.logger=MLFlowLogger",
    "--trainer.logger.tracking_uri=sqlite:///mlflow.db",
    "--trainer.logger.experiment_name=digits",
]
RUN = [*MLP, *SHORT, "--model.dropout=0.3", "--test_after_fit=true"]


def test_a_csv_logger_gets_metrics_and_options_beside_tensorboard():
    cli = litzoo("fit", *RUN, *CSV)
    (written,) = Path("csv").rglob("metrics.csv")
    rows = list(csv.DictReader(written.open()))
    logged = {name: float(value) for row in rows for name, value in row.items() if value}
    assert {"train/loss", "val/acc"} <= set(logged)
    assert logged["test/acc"] == pytest.approx(float(cli.trainer.callback_metrics["test/acc"]))
    options = yaml.safe_load((written.parent / "hparams.yaml").read_text())
    assert (options["model"], options["model.dropout"]) == ("MLPClassifier", 0.3)
    assert list(cli.run_folder.glob("events.out.tfevents.*"))
    assert (cli.run_folder / "metrics.json").is_file()


def test_an_mlflow_logger_gets_metrics_and_options_in_a_local_store():
    pytest.importorskip("mlflow", reason="mlflow is not installed: pip install mlflow-skinny sqlalchemy alembic")
    from mlflow import MlflowClient

    cli = litzoo("fit", *RUN, *MLFLOW)
    client = MlflowClient("sqlite:///mlflow.db")
    (experiment,) = (each for each in client.search_experiments() if each.name == "digits")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.data.params["model"], run.data.params["model.dropout"]) == ("MLPClassifier", "0.3")
    assert {"train/loss", "val/acc", "test/acc"} <= set(run.data.metrics)
    assert run.data.metrics["test/acc"] == pytest.approx(float(cli.trainer.callback_metrics["test/acc"]))
    assert run.info.status == "FINISHED"
