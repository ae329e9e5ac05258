from pathlib import Path

import pytest
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule

from litzoo.scripts.docs.data_images import DOCUMENT, examples

ROOT = Path(__file__).parents[3]
SHOWN = list(examples((ROOT / DOCUMENT).read_text(encoding="utf-8")))


def test_every_image_of_the_page_has_its_yaml():
    images = {path.name for path in (ROOT / "docs" / "images").glob("data_*.png")}
    assert {Path(image).name for _, image in SHOWN} == {*images, "nine_views.png"}
    assert len(SHOWN) == 7


@pytest.mark.parametrize("data", [data for data, _ in SHOWN], ids=[Path(image).stem for _, image in SHOWN])
def test_the_yaml_makes_a_datamodule_with_its_options(data):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    datamodule = parser.instantiate(parser.parse_object({"data": data})).data
    for name, value in data["init_args"].items():
        made = getattr(datamodule, name)
        if isinstance(value, dict) and "class_path" in value:
            assert type(made).__name__ == value["class_path"].rsplit(".", 1)[-1]
            assert vars(made).items() >= value["init_args"].items()
        else:
            assert made == value
