import inspect

import pytest

from litzoo import datamodules, lit_modules
from litzoo.scripts.cli.classes import arguments_of, class_at
from litzoo.scripts.cli.links import check_links

IMAGES = ["MNISTDataModule", "FashionMNISTDataModule", "CIFAR10DataModule", "DigitsDataModule"]
IMAGES += ["ImageFolderDataModule", "KMNISTDataModule", "EMNISTDataModule", "SVHNDataModule", "CIFAR100DataModule"]
IMAGES += ["ImageDatasetsDataModule"]
TABLES = ["DiabetesDataModule", "CSVRegressionDataModule"]
CLASS_TABLES = ["BreastCancerDataModule", "WineDataModule", "CSVClassificationDataModule"]
ARRAYS = ["ArrayDatasetsDataModule"]  # of any shape: for images too
CLASSIFIERS = ["SoftmaxRegression", "MLPClassifier", "CNNClassifier", "ResNetClassifier", "CoTeachingClassifier"]
CLASSIFIERS += ["TransferClassifier", "WhitenedCNNClassifier"]
REGRESSORS = ["Regressor"]
MASKS, SEGMENTERS = ["PennFudanDataModule", "ShapesDataModule"], ["MaskRCNNSegmenter"]
VECTORS = ["SoftmaxRegression", "MLPClassifier"]
FITTING = [(data, model) for data in CLASS_TABLES for model in VECTORS]
FITTING += [(data, model) for data in ARRAYS for model in CLASSIFIERS]
FITTING += [(data, model) for data in IMAGES for model in CLASSIFIERS] + [
    (data, model) for data in TABLES for model in REGRESSORS
]
FITTING += [(data, model) for data in MASKS for model in SEGMENTERS]
UNFITTING = [(data, model) for data in IMAGES + ARRAYS + CLASS_TABLES for model in REGRESSORS] + [
    (data, model) for data in TABLES for model in CLASSIFIERS
]
UNFITTING += [(data, model) for data in CLASS_TABLES for model in CLASSIFIERS if model not in VECTORS]
UNFITTING += [(data, model) for data in MASKS for model in CLASSIFIERS + REGRESSORS]
UNFITTING += [(data, model) for data in IMAGES + TABLES + CLASS_TABLES for model in SEGMENTERS]


@pytest.mark.parametrize(("data", "model"), FITTING)
def test_fitting_pair_passes(data, model):
    check_links(getattr(datamodules, data), getattr(lit_modules, model))


@pytest.mark.parametrize(("data", "model"), UNFITTING)
def test_unfitting_pair_is_refused_with_both_names(data, model):
    with pytest.raises(
        ValueError, match=f"{data} and model {model} do not go together: '.*(num_classes|target_mean|input_shape)'"
    ):
        check_links(getattr(datamodules, data), getattr(lit_modules, model))


def test_lists_above_leave_no_class_out():
    def concrete(room, base):
        classes = [getattr(room, name) for name in room.__all__]
        classes = [owner for owner in classes if inspect.isclass(owner) and issubclass(owner, base)]
        return {owner.__name__ for owner in classes if not inspect.isabstract(owner)}

    data = concrete(datamodules, datamodules.BaseDataModule)
    assert data == {*IMAGES, *ARRAYS, *TABLES, *CLASS_TABLES, *MASKS}
    # A classifier whose network is handed over, in Python, cannot be named in YAML.
    assert concrete(lit_modules, lit_modules.LitModule) == {*CLASSIFIERS, *REGRESSORS, *SEGMENTERS, "Classifier"}


def test_every_link_is_taken_by_some_module():
    taken = set().union(*(arguments_of(getattr(lit_modules, name)) for name in [*CLASSIFIERS, *REGRESSORS]))
    links = {name for data in [*IMAGES, *TABLES, *CLASS_TABLES, *MASKS] for name in getattr(datamodules, data).links}
    assert links == {"num_classes", "class_names", "input_shape", "target_mean", "target_std"}
    assert links <= taken


def test_arguments_are_collected_up_to_the_last_class_that_passes_options_on():
    class Base:
        def __init__(self, low, high=1): ...

    class Middle(Base):
        def __init__(self, width, **options): ...

    class Plain(Middle):
        pass

    class Closed(Middle):
        def __init__(self, only): ...

    assert arguments_of(Plain) == {"width", "low", "high"}
    assert arguments_of(Closed) == {"only"}


def test_class_is_found_by_its_path():
    assert class_at("Regressor") is lit_modules.Regressor
