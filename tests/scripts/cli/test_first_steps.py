"""What a first command gets wrong is answered with the option and the name to write."""

import pytest

from litzoo.scripts.cli.errors import explain
from tests.scripts.helpers import MLP, litzoo, short_fit


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["fit"], ["fit: data and model required", "--config digits_cnn", "`litzoo configs`"]),
        (["test"], ["test: data and model required", "--config"]),
        (["fit", "--model", "MLPClassifier"], ["fit: data required", "--config", "--data"]),
        (["fit", "digits_cnn"], ["digits_cnn", "write `--config digits_cnn`"]),
        (["fit", "mine.yaml"], ["write `--config mine.yaml`"]),
        (["fit", "Digits_CN"], ["--config", "digits_cnn", "`litzoo configs`"]),
        (["fit", *MLP, "--trainer.max_epochs", "3", "4"], ["'4'", "belongs to no option"]),
        (["fit", *MLP, "--model.optimizer", "Adamw"], ["Nearest: AdamW"]),
        (["fit", *MLP, "--model.optimizer", "torch.optim.Adamw"], ["Nearest: torch.optim.AdamW"]),
        (["fit", *MLP, "--model.loss", "focalloss"], ["Nearest: FocalLoss"]),
        (["fit", *MLP, "--trainer.Max_Epochs", "3"], ["--trainer.max_epochs"]),
        (["fit", *MLP, "--model.scheduler", "steplr"], ["Nearest: StepLR"]),
    ],
)
def test_the_answer_names_what_to_write(words, answers, refused):
    refused(words, answers)


def test_what_is_no_optimizer_is_not_compared_with_losses():
    with pytest.raises(Exception, match="Foo") as error:
        litzoo("fit", *MLP, "--model.optimizer=Foo")
    message = "\n".join(explain(error.value))
    assert "FocalLoss" not in message
    assert "LightningModule" not in message


def test_a_test_of_initial_weights_says_so(recwarn):
    litzoo("fit", *MLP, "--trainer.max_epochs=0")
    assert [each for each in recwarn if "the test is that of the model's initial weights" in str(each.message)]
    recwarn.clear()
    short_fit("--test_after_fit=true")
    assert not [each for each in recwarn if "initial weights" in str(each.message)]
