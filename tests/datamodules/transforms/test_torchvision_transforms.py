"""Any of torchvision's transforms as augmentation and for evaluation, in Python and from a config."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torchvision.transforms import InterpolationMode, v2

from litzoo.datamodules import DigitsDataModule
from litzoo.datamodules.transforms.plain import describe, rebuild
from litzoo.datamodules.transforms.policies import augmentation_of
from litzoo.scripts.cli.main import run
from tests.datamodules.image_folder import folder_data, write_class
from tests.datamodules.recording import record

SHAPE = (1, 28, 28)
TRANSFORMS = {
    "RandomRotation": v2.RandomRotation(20),
    "RandomPerspective": v2.RandomPerspective(p=1.0),
    "RandomResizedCrop": v2.RandomResizedCrop(28, antialias=True),
    "ElasticTransform": v2.ElasticTransform(30.0),
    "ColorJitter": v2.ColorJitter(0.5, 0.5),
    "GaussianBlur": v2.GaussianBlur(5),
    "RandomErasing": v2.RandomErasing(1.0),
    "RandomApply": v2.RandomApply([v2.RandomInvert(1.0)], 0.5),
    "RandomChoice": v2.RandomChoice([v2.RandomInvert(1.0), v2.RandomHorizontalFlip(1.0)]),
    "Compose": v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.RandomAffine(9), v2.ToDtype(torch.uint8, scale=True)]
    ),
}


def digits(count=6):
    return torch.randint(256, (count, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_image_is_transformed_by_itself_as_torchvision_does(name):
    transform, images = TRANSFORMS[name], digits()
    torch.manual_seed(3)
    ours = augmentation_of("augment", transform, SHAPE)(images)
    torch.manual_seed(3)
    theirs = torch.stack([transform(image) for image in images])
    assert torch.equal(ours, theirs)


def test_names_and_transforms_are_applied_in_their_order():
    images = digits()
    both = augmentation_of("augment", ["shift", v2.RandomInvert(1.0), v2.RandomHorizontalFlip(1.0)], SHAPE)
    torch.manual_seed(3)
    ours = both(images)
    torch.manual_seed(3)
    shifted = augmentation_of("augment", "shift", SHAPE)(images)
    assert torch.equal(ours, (255 - shifted).flip(3))


def test_checking_a_transform_does_not_advance_the_generator():
    state = torch.get_rng_state()
    augmentation_of("augment", list(TRANSFORMS.values()), SHAPE)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (v2.Resize(20), r"data\.augment: returns images of \[1, 20, 20\], but the network gets \[1, 28, 28\]"),
        (v2.Grayscale(3), r"\[3, 28, 28\]"),
        (v2.ToDtype(torch.float32, scale=True), r"data\.augment: scales pixels to 0\.\.\.1.*leave out ToDtype"),
        (v2.CutMix(num_classes=10), r"data\.augment: cannot be applied to images of \[1, 28, 28\]"),
        (v2.RandomCrop(40), r"data\.augment: cannot be applied"),
        (v2.ToPILImage(), r"data\.augment"),
        (nn.Identity(), r"data\.augment: Identity is not one of none, .*nor a transform of torchvision"),
    ],
)
def test_what_does_not_return_such_images_is_refused(transform, words):
    with pytest.raises(ValueError, match=words):
        DigitsDataModule(augment=[transform])
    if not isinstance(transform, nn.Identity):
        with pytest.raises(ValueError, match=words.replace("augment", "strong_augment")):
            DigitsDataModule(strong_augment=transform)


def test_evaluation_images_are_transformed_and_training_images_are_not():
    plain, blurred = (
        DigitsDataModule(val_size=50),
        DigitsDataModule(val_size=50, eval_transform=v2.GaussianBlur(5, 2.0)),
    )
    for stage, part in (("fit", "val"), ("test", "test")):
        before, after = (record(each, stage).column(part, "input") for each in (plain, blurred))
        blur = v2.GaussianBlur(5, 2.0)
        rows = plain.val_set if part == "val" else plain.test_set
        stored = rows.inputs.index_select(0, rows.indices)
        assert torch.equal(after, plain.normalise(blur(stored)))
        assert not torch.equal(before, after)
    batches = [next(iter(each.evaluation_batches("val", torch.device("cpu"))))["input"] for each in (plain, blurred)]
    assert not torch.equal(*batches)
    assert torch.equal(record(plain).column("train", "input"), record(blurred).column("train", "input"))


@pytest.mark.parametrize(
    "transform",
    [
        v2.Resize(256),
        v2.Resize((20, 30), interpolation=InterpolationMode.BICUBIC, antialias=True),
        v2.CenterCrop(224),
        v2.Grayscale(3),
        v2.Pad([1, 2], fill=3, padding_mode="reflect"),
        v2.GaussianBlur(5, (0.5, 1.5)),
        v2.Normalize([0.1], [0.2]),
        v2.ToDtype(torch.float32, scale=True),
        v2.RandomInvert(1.0),
        v2.Compose([v2.Resize(32, max_size=40), v2.CenterCrop([24, 20])]),
    ],
)
def test_class_and_arguments_come_back_from_plain_values(transform):
    description = describe(transform)
    torch.save(description, "transform.pt")
    again = rebuild(torch.load("transform.pt", weights_only=True))
    assert type(again) is type(transform)
    assert describe(again) == description
    image = torch.randint(256, (1, 300, 280), dtype=torch.uint8)
    image = image.float() if isinstance(transform, v2.Normalize) else image
    torch.manual_seed(3)
    expected = transform(image)
    torch.manual_seed(3)
    assert torch.equal(again(image), expected)


def test_a_checkpoint_says_how_it_was_evaluated_and_another_way_is_said():
    blurred = DigitsDataModule(eval_transform=[v2.GaussianBlur(5, 2.0)])
    blurred.setup("fit")
    state = blurred.state_dict()
    (description,) = state["images"]["eval_transform"]
    assert description["class_path"] == "torchvision.transforms.v2.GaussianBlur"
    assert isinstance(rebuild(description), v2.GaussianBlur)
    message = r"data\.eval_transform is none, but the checkpoint.*GaussianBlur\(kernel_size"
    with pytest.warns(UserWarning, match=message):
        DigitsDataModule().load_state_dict(state)
    for number, name in enumerate(("cat", "dog")):
        write_class(f"pets/{name}", 20, seed=100 * number)
    blurred = folder_data(eval_transform=v2.GaussianBlur(5, 2.0))  # whose parts are drawn by content
    blurred.setup("fit")
    with pytest.warns(UserWarning, match=message):
        folder_data().load_state_dict(blurred.state_dict())


class Own(v2.Transform):
    def transform(self, inpt, params):
        return inpt


def test_only_what_a_checkpoint_can_describe_is_accepted_and_rebuilt():
    with pytest.raises(ValueError, match=r"data\.eval_transform: Own is not one of torchvision\.transforms\.v2"):
        DigitsDataModule(eval_transform=Own())
    DigitsDataModule(augment=Own())
    for name in ("os.system", "torchvision.transforms.v2.functional", "torchvision.transforms.v2.nothing", None):
        with pytest.raises(ValueError, match="is not a transform of torchvision"):
            rebuild({"class_path": name, "init_args": {"command": "true"}})


def test_a_config_names_transforms_by_class_path():
    path = "torchvision.transforms.v2."
    data = {
        "augment": ["shift", {"class_path": path + "RandomRotation", "init_args": {"degrees": 15}}],
        "strong_augment": {
            "class_path": path + "RandomApply",
            "init_args": {
                "transforms": [{"class_path": path + "GaussianBlur", "init_args": {"kernel_size": 3}}],
                "p": 0.5,
            },
        },
        "eval_transform": [
            {"class_path": path + "Pad", "init_args": {"padding": 2}},
            {"class_path": path + "CenterCrop", "init_args": {"size": 28}},
        ],
    }
    config = {
        "experiment": "own_transforms",
        "data": {"class_path": "DigitsDataModule", "init_args": data},
        "model": {"class_path": "MLPClassifier"},
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "limit_train_batches": 2},
    }
    with open("own.yaml", "w", encoding="utf-8") as file:
        yaml.safe_dump(config, file)
    cli = run(["fit", "--config", "own.yaml"])
    datamodule = cli.datamodule
    assert isinstance(datamodule.augment[1], v2.RandomRotation)
    assert [type(each) for each in datamodule.eval_transforms] == [v2.Pad, v2.CenterCrop]
    assert datamodule.state_dict()["images"]["eval_transform"][1]["init_args"] == {"size": [28, 28]}
    saved = yaml.safe_load(next(Path("runs").rglob("config.yaml")).read_text())
    assert saved["data"]["init_args"]["augment"][1]["init_args"]["degrees"] == 15
