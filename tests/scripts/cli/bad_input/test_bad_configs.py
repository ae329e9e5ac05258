import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from litzoo.scripts.cli.arguments import check_yaml
from tests.data.broken import link_to
from tests.scripts.helpers import CONFIGS, MLP, QUIET

WHOLE = (CONFIGS / "digits_mlp.yaml").read_text(encoding="utf-8")
NAME = "--config wrong.yaml"

# What the file holds -> what the message must name beside the file.
TABLE_OF_CONTENTS = {
    "nothing": ("", ["nothing", "takes options"]),
    "a comment": ("# later\n", ["nothing", "takes options"]),
    "words": ("just words\n", ["str", "takes options"]),
    "a list": ("- model\n- data\n", ["list", "takes options"]),
    "broken syntax": ("model: [1\ntrainer: }", ["no YAML", "line 2"]),
    "a tab": ("model:\n\tclass_path: x\n", ["no YAML", "line 2"]),
    "wrong indent": ("model:\n  class_path: a\n init_args: 3\n", ["no YAML", "line 3"]),
    "two documents": (f"{WHOLE}---\n{WHOLE}", ["no YAML", "single document"]),
    "a key twice": (
        f"{WHOLE}\ntrainer: {{max_epochs: 3}}\n",
        ["'trainer'", "twice", "line 16", "line 22", "remove one"],
    ),
    "an inner key twice": (
        "trainer:\n  max_epochs: 3\n  max_epochs: 4\n",
        ["'max_epochs'", "twice", "line 2", "line 3"],
    ),
    "an option beside its class": (
        "model:\n  class_path: MLPClassifier\n  hidden: [32]\n",
        ["line 3", "'hidden' stands beside class_path", "under init_args"],
    ),
    "an alias of nothing": ("model: *nothing\n", ["no YAML", "alias"]),
    "bytes": (bytes(range(256)), ["UTF-8"]),
    "another encoding": (WHOLE.encode("utf-16"), ["UTF-8"]),
    "Latin 1": (b"# caf\xe9\n" + WHOLE.encode(), ["UTF-8", "0xe9"]),
    "control characters": ("model: \x01\x02\n", ["no YAML", "characters"]),
    "a tag that makes an object": ("model: !!python/object/apply:os.mkdir ['made']\n", ["no YAML", "tag", "os.mkdir"]),
    "a merge of no mapping": ("trainer:\n  <<: 3\n", ["no YAML", "merging", "line 2"]),
    "a list as key": ("? [a]\n: 4\n", ["no YAML", "key", "line 1"]),
    "a number as key": ("3: 4\n", ["3 is no option"]),
    "a web page": ("<html><body>404: Not Found</body></html>", ["<html><body>404", "no option"]),
    "a date that cannot be": ("trainer:\n  max_epochs: 2020-99-99\n", ["month"]),
    "a number of 5000 digits": (f"trainer:\n  max_epochs: {'9' * 5000}\n", ["5000 digits"]),
    "a list of a trainer": (f"{WHOLE.partition('trainer:')[0]}trainer: [1]\n", ["trainer", "list", "no options"]),
    "a number for a model": ("model: 3\n", ["model", "int", "no options"]),
}

# Likewise for what the parser finds, which says nothing of the file.
TABLE_OF_OPTIONS = {
    "unknown key": ("trainers:\n  max_epochs: 1\n", ["trainers", "trainer.max_epochs"]),
    "unknown trainer key": ("trainer:\n  max_epohcs: 1\n", ["max_epohcs", "trainer.max_epochs"]),
    "unknown key of numeric keys": (
        "trainer:\n  callbacks:\n  - class_path: GradualUnfreezing\n    init_args: {unfreez_at: {1: 2}}\n",
        ["--trainer.callbacks", "'unfreez_at' is not accepted", "Nearest: unfreeze_at"],
    ),
    "wrong class": ("model:\n  class_path: MLPClasifier\n", ["--model", "MLPClasifier", "MLPClassifier"]),
    "anchors of its own": ("base: &b {max_epochs: 1}\ntrainer:\n  <<: *b\n", ["base.max_epochs"]),
    "a sub-command as key": ("fit:\n  trainer:\n    max_epochs: 1\n", ["fit.trainer.max_epochs", "trainer.max_epochs"]),
    "itself": ("config: wrong.yaml\n", ["wrong.yaml -> wrong.yaml"]),
    "a date for a number": ("trainer: {max_epochs: 2020-01-01}\n", ["--trainer.max_epochs", "2020-01-01", "int"]),
    "rate that is NaN": ("model: {init_args: {optimizer: {init_args: {lr: .nan}}}}\n", ["model.optimizer", "nan"]),
    "dropout that is NaN": ("model: {init_args: {dropout: .nan}}\n", ["dropout", "between 0 and 1", "nan"]),
    "name that leads out": ("experiment: ../up\n", ["--experiment", "'../up'"]),
    "name with NUL": ('experiment: "a\\0b"\n', ["--experiment", "x00"]),
    "folder of runs with NUL": ('trainer: {default_root_dir: "a\\0b"}\n', ["--trainer.default_root_dir", "x00"]),
    "no folder of runs": ("trainer: {default_root_dir: null}\n", ["--trainer.default_root_dir", "None", "runs"]),
    "root with NUL": ('data: {init_args: {root: "a\\0b"}}\n', ["data.root", "x00"]),
}

TABLE_OF_FILES = {
    "absent": (lambda path: None, ["No such file", "YAML file"]),
    "folder": (lambda path: path.mkdir(), ["no file", "YAML file"]),
    "device": (link_to("/dev/zero"), ["no file", "YAML file"]),
    "link to itself": (link_to("wrong.yaml"), ["symbolic links", "YAML file"]),
    "link to nothing": (link_to("nothing.yaml"), ["No such file", "YAML file"]),
}


def write(content):
    Path("wrong.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(("content", "words"), TABLE_OF_CONTENTS.values(), ids=TABLE_OF_CONTENTS)
def test_file_that_is_no_config_is_refused_by_its_name(content, words, refused):
    write(content)
    refused(["fit", "--config", "wrong.yaml"], [NAME, *words])


@pytest.mark.parametrize(("content", "words"), TABLE_OF_OPTIONS.values(), ids=TABLE_OF_OPTIONS)
def test_options_of_a_config_are_refused_by_their_names(content, words, refused):
    write(content)
    refused(["fit", *QUIET, *MLP, "--config", "wrong.yaml"], words)


@pytest.mark.parametrize(("make", "words"), TABLE_OF_FILES.values(), ids=TABLE_OF_FILES)
def test_what_is_no_file_is_refused_by_its_name(make, words, refused):
    make(Path("wrong.yaml"))
    refused(["fit", "--config=wrong.yaml"], ["--config", "wrong.yaml", *words])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_config_that_may_not_be_read_is_refused(refused):
    write(WHOLE)
    Path("wrong.yaml").chmod(0)
    refused(["fit", "--config=wrong.yaml"], [NAME, "Permission denied"])


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_of_the_zoo_passes(config):
    check_yaml(config.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: &x 1\nb: *x\nc: *x\n",
        "{a: {k: 1}, b: {k: 1}}",
        "? [k]\n: 1\n? [k]\n: 2\n",
    ],
    ids=["nothing", "aliases", "key in two mappings", "lists as keys"],
)
def test_what_is_no_mistake_passes(text):
    check_yaml(text)


TREES = st.recursive(
    st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=50)
@given(TREES)
def test_every_tree_that_can_be_written_passes(tree):
    check_yaml(yaml.safe_dump(tree))
    check_yaml(yaml.safe_dump([tree, tree]))  # PyYAML writes the second as an alias of the first


def test_a_misspelt_name_of_a_shipped_experiment_gets_the_nearest_ones(refused):
    refused(["fit", "--config=digits_cn"], ["--config digits_cn", "No such file", "digits_cnn"])
