"""A teacher named on the command line by its experiment."""

import re

import pytest
import torch

from tests.scripts.helpers import litzoo, short_fit

POOL = ["--data.num_labeled=100", "--data.unlabeled_batch_size=100", "--model.pseudo_labels=AssignedLabels"]
TAUGHT = ["--trainer.callbacks=TeacherLabels", "--trainer.callbacks.teacher=few"]
TAUGHT += ["--trainer.callbacks.threshold=0.15", "--experiment=frozen"]


@pytest.fixture
def teacher():
    return short_fit("--data.num_labeled=100", "--experiment=few")


def test_its_newest_run_labels_the_pool(teacher, capsys):
    cli = short_fit(*POOL, *TAUGHT)
    (line,) = re.findall(r"^teacher: .*", capsys.readouterr().out, re.MULTILINE)
    kept, pool = cli.model.pseudo_labels.get_extra_state(), cli.datamodule.split.unlabeled
    images = cli.datamodule.normalise(cli.datamodule.read(train=True)[0][pool])
    with torch.no_grad():
        probabilities = teacher.model.eval()(images).softmax(dim=1)
    assert torch.equal(kept["label"][pool], probabilities.argmax(dim=1))
    passing = int((probabilities.max(dim=1).values >= 0.15).sum())
    assert 0 < passing < len(pool)
    assert line == f"teacher: {passing:,} of {len(pool):,} pool samples have a label of confidence >= 0.15"


def test_one_of_other_classes_is_refused_and_leaves_no_run(teacher, tmp_path):
    with pytest.raises(ValueError, match="has learned other classes, '0' there and '1' here"):
        short_fit(*POOL, *TAUGHT, "--data.known_classes=[1,2,3]")
    assert not (tmp_path / "runs" / "frozen").exists()


def test_a_test_needs_no_teacher(teacher, tmp_path):
    cli = short_fit(*POOL, *TAUGHT)
    (tmp_path / "runs" / "few").rename(tmp_path / "runs" / "moved")
    litzoo("test", "--config", str(cli.run_folder / "config.yaml"))
    short_fit(*POOL, *TAUGHT, "--ckpt_path=last", "--trainer.max_epochs=2")
