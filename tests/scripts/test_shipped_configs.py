from pathlib import Path

import pytest

from litzoo.scripts.configs import find_config, shipped_configs, with_shipped_configs
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
