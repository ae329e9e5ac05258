import pytest
import torch
from lightning.pytorch.callbacks import BatchSizeFinder
from torchvision.models.detection import maskrcnn_resnet50_fpn

from litzoo.datamodules import ShapesDataModule
from litzoo.lit_modules import MaskRCNNSegmenter
from litzoo.lit_modules.networks import MaskRCNN
from litzoo.lit_modules.weights import pretrained as pretrained_weights
from litzoo.lit_modules.weights.pretrained import CLASS_LAYERS, load_detection_weights, require_detection_weights
from tests.training import cpu_trainer


def light(classes=3):
    return MaskRCNN(classes, "light", proposals=20)


def test_torchvisions_weights_load_and_give_the_same_detections(tmp_path):
    theirs = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=64, box_score_thresh=0.0).eval()
    saved = {name: value for name, value in theirs.state_dict().items() if "num_batches_tracked" not in name}
    torch.save(saved, tmp_path / "theirs.pth")  # of frozen batch norm, as the real file
    ours = MaskRCNN(91, "resnet50_fpn", min_size=64, min_score=0.0, frozen_norm=True).eval()
    load_detection_weights(ours, str(tmp_path / "theirs.pth"))
    for name, value in ours.state_dict().items():
        assert name.startswith(CLASS_LAYERS) or "num_batches" in name or torch.equal(value, saved[name])
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(3, 50, 70)
    with torch.no_grad():
        (expected,), ((_, found),) = theirs([image]), ours.detect_and_score([image])
    assert len(found["scores"]) == 100
    assert all(torch.equal(found[name], expected[name]) for name in ("boxes", "labels", "scores"))
    assert torch.equal(found["masks"], expected["masks"][:, 0] >= 0.5)


def test_frozen_batch_norm_stays_as_it_is_in_training():
    net = MaskRCNN(2, "resnet50_fpn", min_size=64, frozen_norm=True, trainable_stages=3).train()
    stages = {name.split(".")[2] for name, weight in net.named_parameters() if weight.requires_grad and "body" in name}
    assert stages == {"layer2", "layer3", "layer4"}
    norms = [layer for layer in net.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(layer.training or layer.weight.requires_grad for layer in norms)
    assert net.rpn.training
    free = MaskRCNN(2, "resnet50_fpn").train()
    assert all(layer.training for layer in free.modules())
    assert all(weight.requires_grad for weight in free.backbone.parameters())


def test_frozen_batch_norm_does_not_change_during_fit(recwarn):
    module = MaskRCNNSegmenter(3, backbone="resnet50_fpn", weights="absent.pth", min_size=64, proposals=20)
    module.on_load_checkpoint({})  # it brings the weights
    before = {name: value.clone() for name, value in module.state_dict().items()}
    options = {"limit_train_batches": 1, "limit_val_batches": 1, "max_epochs": 2}
    cpu_trainer(**options).fit(module, ShapesDataModule(images=4, side=48, val_size=2))
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name in moved if ".bn" in name or ".downsample.1" in name} == set()
    assert "net.backbone.body.layer4.2.conv3.weight" in moved
    assert not [each for each in recwarn if "eval mode" in str(each.message)]


@pytest.mark.parametrize(
    ("stages", "expected"), [(2, {"layer2", "layer3"}), (None, {"conv1", "layer1", "layer2", "layer3"})]
)
def test_stages_of_the_light_backbone_are_counted_from_its_own_last_one(stages, expected):
    net = MaskRCNNSegmenter(2, weights="first.ckpt", trainable_stages=stages).net.backbone.body
    names = {
        name.split(".")[0].replace("bn1", "conv1") for name, weight in net.named_parameters() if weight.requires_grad
    }
    assert names == expected


def test_training_starts_with_the_weights_of_a_checkpoint_except_the_class_layers(tmp_path):
    shapes = {"images": 6, "side": 48, "val_size": 2}
    first, trainer = MaskRCNNSegmenter(5, proposals=20), cpu_trainer()
    trainer.strategy.connect(first)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    second = MaskRCNNSegmenter(3, proposals=20, weights=str(tmp_path / "first.ckpt"), trainable_stages=4)
    old = {name: value.clone() for name, value in second.state_dict().items()}
    # Lightning restores the weights that were there before its trial of the learning rate; nothing is trained here.
    cpu_trainer(max_steps=1, limit_train_batches=0).fit(second, ShapesDataModule(**shapes))
    for name, value in second.state_dict().items():
        is_new = name.removeprefix("net.").startswith(CLASS_LAYERS)
        assert torch.equal(value, old[name] if is_new else first.state_dict()[name]), name

    cpu_trainer(limit_train_batches=1, limit_val_batches=0).fit(second, ShapesDataModule(**shapes))
    trainer.strategy.connect(second)
    trainer.save_checkpoint(tmp_path / "second.ckpt")
    (tmp_path / "first.ckpt").unlink()  # from now on nobody needs it
    learned = {name: value.clone() for name, value in second.state_dict().items()}
    cpu_trainer(max_steps=1, limit_train_batches=0).fit(second, ShapesDataModule(**shapes))
    assert all(torch.equal(value, learned[name]) for name, value in second.state_dict().items())
    loaded = MaskRCNNSegmenter.load_from_checkpoint(tmp_path / "second.ckpt")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in second.state_dict().items())


def test_weights_are_loaded_after_other_trainer_calls(tmp_path):
    shapes, first = ShapesDataModule(images=6, side=48, val_size=2), MaskRCNNSegmenter(3, proposals=20)
    trainer = cpu_trainer(max_steps=1, limit_train_batches=0)
    trainer.strategy.connect(first)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    trainer.validate(MaskRCNNSegmenter(3, proposals=20), shapes, ckpt_path=tmp_path / "first.ckpt", verbose=False)
    second = MaskRCNNSegmenter(3, proposals=20, weights=str(tmp_path / "first.ckpt"))
    trainer.fit(second, shapes)
    name = "net.backbone.body.conv1.weight"
    assert torch.equal(second.state_dict()[name], first.state_dict()[name])


def test_a_callback_such_as_the_learning_rate_finder_runs_with_the_pretrained_weights_and_keeps_them(tmp_path):
    shapes, first = ShapesDataModule(images=6, side=48, val_size=2), MaskRCNNSegmenter(3, proposals=20)
    trainer = cpu_trainer()
    trainer.strategy.connect(first)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    second = MaskRCNNSegmenter(3, proposals=20, weights=str(tmp_path / "first.ckpt"))
    callbacks = [BatchSizeFinder(steps_per_trial=1, max_trials=1)]
    cpu_trainer(limit_train_batches=0, limit_val_batches=0, callbacks=callbacks).fit(second, shapes)
    name = "net.backbone.body.conv1.weight"
    assert torch.equal(second.state_dict()[name], first.state_dict()[name])
    absent = MaskRCNNSegmenter(3, proposals=20, weights=str(tmp_path / "absent.pth"))
    with pytest.raises(FileNotFoundError, match=r"absent\.pth is neither a file"):
        cpu_trainer(callbacks=callbacks).fit(absent, shapes)


def test_missing_weights_are_an_error_unless_a_checkpoint_is_loaded(tmp_path):
    shapes, absent = ShapesDataModule(images=6, side=48, val_size=2), str(tmp_path / "absent.pth")
    first, trainer = MaskRCNNSegmenter(3, proposals=20), cpu_trainer(limit_train_batches=1, limit_val_batches=0)
    trainer.fit(first, shapes)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    resumed = MaskRCNNSegmenter(3, proposals=20, weights=absent)
    cpu_trainer(limit_train_batches=1).fit(resumed, shapes, ckpt_path=tmp_path / "first.ckpt")
    assert all(torch.equal(value, first.state_dict()[name]) for name, value in resumed.state_dict().items())
    with pytest.raises(FileNotFoundError, match=r"model\.weights: .*absent\.pth is neither a file"):
        cpu_trainer().fit(MaskRCNNSegmenter(3, proposals=20, weights=absent), shapes)


def test_the_error_of_missing_weights_names_the_file_and_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(pretrained_weights, "download_url_to_file", unreachable)
    place = tmp_path / "hub" / "checkpoints" / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    message = rf"download\.pytorch\.org.*{place.name} could .*no route.*Put {place.name} into {place.parent}"
    with pytest.raises(FileNotFoundError, match=message):
        require_detection_weights("COCO_V1")
    place.touch()
    require_detection_weights("COCO_V1")
    with pytest.raises(FileNotFoundError, match=r"model\.weights: COCO is neither a file nor one of COCO_V1"):
        require_detection_weights("COCO")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"backbone.body.conv1.weight": torch.zeros(1)},
            r"has \[1\] for backbone\.body\.conv1\.weight, \[64, 3",
        ),
        ({}, r"has nothing for backbone\.body\.conv1\.weight"),
        ([1, 2], "cannot be read as plain weights"),
    ],
)
def test_weights_that_do_not_fit_are_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=message):
        load_detection_weights(light(), str(tmp_path / "weights.pth"))


def test_a_file_that_holds_no_weights_is_refused(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"model\.weights: .*weights\.pth cannot be read as plain weights"):
        load_detection_weights(light(), str(tmp_path / "weights.pth"))
