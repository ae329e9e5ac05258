import sys
import warnings
from pathlib import Path

import pytest

from litzoo.scripts.configs import find_config, main, shipped_configs, with_configs_first, with_shipped_configs
from tests.scripts.helpers import CONFIGS

NAME = "mnist_noisy_ce"
SHIPPED = str(CONFIGS / f"{NAME}.yaml")


def test_every_yaml_file_of_the_folder_is_shipped():
    assert {name: path.name for name, path in shipped_configs().items()} == {
        path.stem: path.name for path in CONFIGS.glob("*.yaml")
    }


@pytest.mark.parametrize("given", [NAME, f"{NAME}.yaml"])
def test_a_shipped_config_is_found_by_name_unless_a_file_here_has_it(given):
    assert Path(find_config(given)).samefile(SHIPPED)
    Path(f"{NAME}.yaml").write_text("model: {}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert find_config(given) == f"{NAME}.yaml"


@pytest.mark.parametrize("given", ["none", "none.yaml", "{model: {}}", f"folder/{NAME}"])
def test_anything_else_is_returned_unchanged(given):
    assert find_config(given) == given


def test_only_the_values_of_config_options_are_replaced():
    words = ["fit", "--config", NAME, f"-c={NAME}", "--experiment", NAME, "--config"]
    found = with_shipped_configs(words)
    assert Path(found[2]).samefile(SHIPPED)
    assert found[3] == f"-c={found[2]}"
    assert [found[place] for place in (0, 1, 4, 5, 6)] == [words[place] for place in (0, 1, 4, 5, 6)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fit --ckpt_path last --config a.yaml", "fit --config a.yaml --ckpt_path last"),
        ("fit --a 1 -c=a --config b --b 2", "fit -c=a --config b --a 1 --b 2"),
        ("fit --config a --a 1 --config b --b 2", "fit --config a --a 1 --config b --b 2"),  # b overrides a's 1
        ("fit --a 1 --config", "fit --config --a 1"),  # refused by the parser, as before
        ("--config a fit --config b", "--config a fit --config b"),
        ("", ""),
    ],
)
def test_configs_come_before_the_options_that_override_them(words, expected):
    assert with_configs_first(words.split()) == expected.split()


def test_a_file_here_that_is_not_the_shipped_experiment_of_the_same_name_is_named():
    Path(f"{NAME}.yaml").write_text("model: {}\n")
    with pytest.warns(UserWarning, match=rf"^--config {NAME}: {NAME}\.yaml in this folder is used, not the shipped"):
        find_config(NAME)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_config(f"{NAME}.yaml") == f"{NAME}.yaml"  # this is what was asked for
        Path(f"{NAME}.yaml").write_bytes(Path(SHIPPED).read_bytes())
        assert find_config(NAME) == f"{NAME}.yaml"


def test_a_file_without_yaml_does_not_shadow_a_shipped_experiment_silently():
    Path(NAME).write_text("model: {}\n")
    with pytest.raises(
        ValueError, match=rf"--config {NAME}: is a shipped experiment, and a file without \.yaml in this"
    ):
        with_shipped_configs(["fit", "--config", NAME])
    assert find_config(f"./{NAME}") == f"./{NAME}"
    assert Path(find_config(f"{NAME}.yaml")).samefile(SHIPPED)


def test_a_folder_does_not_shadow_a_shipped_experiment():
    Path(NAME).mkdir()
    assert Path(find_config(NAME)).samefile(SHIPPED)


def copy(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["litzoo", "configs", "copy", *words])
    main()


@pytest.mark.parametrize("words", [["mine.yaml"], ["mine.yml"], []])
def test_an_experiment_is_copied(words, monkeypatch, capsys):
    copy(monkeypatch, NAME, *words)
    target = (words or [f"{NAME}.yaml"])[0]
    assert capsys.readouterr().out == f"{target}\n"
    assert Path(target).read_bytes() == Path(SHIPPED).read_bytes()


@pytest.mark.parametrize("file", ["mnist_noisy_gce", "mine.txt", "mine"])
def test_a_second_name_is_no_file_to_copy_to(file, monkeypatch):
    with pytest.raises(
        SystemExit, match=rf"{file} has no \.yaml or \.yml at its end: one experiment is copied at a time"
    ):
        copy(monkeypatch, NAME, file)
    assert not Path(file).exists()
