"""Class names that YAML reads as something else, and Unicode forms."""

import unicodedata

import pytest
import yaml

from litzoo.datamodules.splits.core import position_of
from tests.datamodules.image_folder import write_class
from tests.scripts.helpers import litzoo

NAMES = ("yes", "no", "01", "1e3", "0x10", "1_000", "3.50", "plain")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_without_quotes_is_found_as_yaml_reads_it(name):
    assert position_of("option", yaml.safe_load(name), NAMES) == NAMES.index(name)


def test_a_number_in_scientific_notation_is_found():
    assert position_of("option", 1000.0, ("1e3", "2e3")) == 0


@pytest.mark.parametrize(("value", "names"), [(True, ("yes", "on")), (1, ("01", "0x1"))])
def test_a_value_that_several_names_are_read_as_has_to_be_quoted(value, names):
    with pytest.raises(ValueError, match=f"option: YAML reads '{names[0]}' and '{names[1]}' as {value}; .* in quotes"):
        position_of("option", value, names)


@pytest.mark.parametrize("value", [True, False, 5, 2.0])
def test_a_value_that_is_no_name_is_no_class(value):
    with pytest.raises(ValueError, match=f"there is no class {value}; the classes are cat, dog"):
        position_of("option", value, ("cat", "dog"))


def test_a_number_is_a_position_where_no_name_is_a_number():
    assert position_of("option", 1, ("cat", "dog")) == 1


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_unicode_forms_are_not_distinguished(form):
    assert (
        position_of("option", unicodedata.normalize(form, "Löwe"), ("cat", unicodedata.normalize("NFC", "Löwe"))) == 1
    )


def test_the_command_takes_them_from_yaml():
    for start, name in enumerate(("yes", "no", "02")):
        write_class(f"answers/{name}", 40, seed=100 * start)
    with open("answers.yaml", "w") as stream:
        stream.write(
            """
data:
  class_path: ImageFolderDataModule
  init_args:
    folder: answers
    known_classes: [no, yes, 02]
    imbalance: {class_path: ClassCounts, init_args: {sizes: {yes: 8, 02: 9}}}
    label_noise: {class_path: AsymmetricNoise, init_args: {rate: 0.25, flips: {yes: no}}}
model: {class_path: MLPClassifier, init_args: {hidden: [4]}}
trainer: {max_epochs: 1, limit_train_batches: 1, accelerator: cpu, enable_progress_bar: false}
"""
        )
    datamodule = litzoo("fit", "--config", "answers.yaml").datamodule
    assert datamodule.class_names == ("no", "yes", "02")
    assert datamodule.split_report()["per_class"]["train"][1:] == [6, 9]
