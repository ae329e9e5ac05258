import pytest
import torch

from litzoo.callbacks import PredictionsCSV
from litzoo.datamodules import ShapesDataModule
from litzoo.lit_modules import MaskRCNNSegmenter
from litzoo.lit_modules.mask_rcnn import LOSSES
from tests.training import cpu_trainer


def shapes(**options):
    sizes = {"images": 12, "side": 48, "train_size": 4, "val_size": 4, "batch_size": 2, "eval_batch_size": 3}
    return ShapesDataModule(**{**sizes, **options})


def segmenter(**options):
    return MaskRCNNSegmenter(3, ("circle", "square", "triangle"), proposals=20, **options)


@pytest.fixture(scope="module")
def trained():
    """A module after a short training, its metrics and its trainer."""
    torch.manual_seed(0)
    model = segmenter(min_score=0.0)
    trainer = cpu_trainer(max_epochs=2, limit_test_batches=1, limit_predict_batches=1)
    trainer.fit(model, shapes())
    return model, dict(trainer.callback_metrics), trainer


def found_in(model):
    (batch,) = cpu_trainer(limit_predict_batches=1).predict(model, shapes())
    return batch


def same(first, second):
    return all(
        torch.equal(ours[name], theirs[name])
        for ours, theirs in zip(first["detections"], second["detections"], strict=True)
        for name in ("boxes", "labels", "scores", "masks")
    )


def test_the_loss_is_the_sum_of_its_parts_and_all_scores_are_logged(trained):
    metrics = trained[1]
    parts = {f"train/{name}" for name in LOSSES}
    scores = {f"val/{name}" for name in ("loss", "map", "map_50", "mask_map", "mask_map_50")}
    assert {"train/loss", *parts, *scores} == set(metrics)
    assert metrics["train/loss"] == pytest.approx(float(sum(metrics[name] for name in parts)), rel=1e-5)
    assert all(0 <= metrics[name] <= 1 for name in scores - {"val/loss"})


def test_a_loaded_module_detects_bitwise_the_same(trained, tmp_path):
    model, _, trainer = trained
    trainer.save_checkpoint(tmp_path / "saved.ckpt")
    torch.load(tmp_path / "saved.ckpt", weights_only=True)
    loaded = MaskRCNNSegmenter.load_from_checkpoint(tmp_path / "saved.ckpt", weights_only=True)
    assert loaded.class_names == ["circle", "square", "triangle"]
    before = found_in(model)
    assert sum(len(each["scores"]) for each in before["detections"]) > 3
    assert same(before, found_in(loaded))


def test_detections_are_inside_the_image_and_have_a_class(trained):
    for found in found_in(trained[0])["detections"]:
        assert found["boxes"].shape == (len(found["scores"]), 4)
        assert found["masks"].shape == (len(found["scores"]), 48, 48)
        assert found["masks"].dtype == torch.bool
        assert 0 <= found["boxes"].min() <= found["boxes"].max() <= 48
        assert set(found["labels"].tolist()) <= {1, 2, 3}
        assert (found["scores"].diff() <= 0).all()


def test_detections_do_not_depend_on_the_batch_or_advance_the_generator(trained):
    model = trained[0].eval()
    datamodule = shapes()
    datamodule.setup("fit")
    together = datamodule.as_evaluated(datamodule.val_set.__getitems__([0, 1, 2]))
    alone = datamodule.as_evaluated(datamodule.val_set.__getitems__([1]))
    state, buffers = torch.get_rng_state(), {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        first, second = model.step(together, "val"), model.step(alone, "val")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, buffers[name]) for name, value in model.state_dict().items())
    assert torch.equal(first["losses"][1], second["losses"][0])
    assert torch.equal(first["detections"][1]["boxes"], second["detections"][0]["boxes"])
    assert not any(part.training for part in model.modules())


def test_detect_leaves_the_modes_as_they_were():
    model = segmenter().train()
    model.net.backbone.eval()
    (found,) = model.detect([torch.rand(3, 40, 40)])
    assert not found["scores"].requires_grad
    assert model.training
    assert model.net.rpn.training
    assert not model.net.backbone.training


def test_a_batch_without_objects_is_trained_on():
    model, datamodule = segmenter(), shapes()
    datamodule.setup("fit")
    batch = datamodule.as_evaluated(datamodule.train_set.__getitems__([0, 1]))
    batch["target"] = [{name: value[:0] for name, value in each.items()} for each in batch["target"]]
    outputs = model.step(batch, "train")
    outputs["loss"].backward()
    assert outputs["loss"].isfinite()
    # Several processes wait for the gradient of every weight.
    assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)


@pytest.mark.parametrize("type_", [torch.bfloat16, torch.float16])
def test_boxes_are_float32_in_mixed_precision_so_that_small_objects_far_from_the_origin_are_not_empty(type_):
    torch.manual_seed(0)
    net = segmenter(min_score=0.0).net
    image = torch.rand(3, 64, 480)
    masks = torch.zeros(2, 64, 480, dtype=torch.bool)
    masks[0, 60, 450] = masks[1, 10:20, 301:330] = True
    boxes = torch.tensor([[450.2, 60.2, 450.9, 60.9], [301.0, 10.0, 330.0, 20.0]])
    target = {"boxes": boxes, "labels": torch.tensor([1, 2]), "masks": masks}
    with torch.autocast("cpu", type_):
        losses = net.train()([image], [target])
        with torch.no_grad():
            found = net.eval().detect_and_score([image])[0][1]["boxes"]
    assert all(loss.isfinite() for loss in losses.values())
    assert found.dtype == torch.float32
    assert (found != found.to(type_).float()).any()


def test_a_table_of_detections_is_written(trained, tmp_path):
    trainer = cpu_trainer(callbacks=[PredictionsCSV()], default_root_dir=str(tmp_path), limit_predict_batches=2)
    batches = trainer.predict(trained[0], shapes())
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines[0] == "index,class_name,score,x0,y0,x1,y1,area"
    found = [each for batch in batches for each in batch["detections"]]
    assert len(lines) == 1 + sum(len(each["scores"]) for each in found)
    index, name, score, *box, area = lines[1].split(",")
    assert (int(index), name) == (0, ("circle", "square", "triangle")[found[0]["labels"][0] - 1])
    assert float(score) == pytest.approx(float(found[0]["scores"][0]), rel=1e-5)
    assert [float(side) for side in box] == pytest.approx(found[0]["boxes"][0].tolist(), abs=0.006)
    assert int(area) == found[0]["masks"][0].sum()


def test_nothing_found_makes_a_table_without_rows(tmp_path):
    trainer = cpu_trainer(callbacks=[PredictionsCSV()], default_root_dir=str(tmp_path), limit_predict_batches=1)
    trainer.predict(segmenter(min_score=0.99), shapes(), return_predictions=False)
    assert (tmp_path / "predictions.csv").read_text().splitlines() == ["index,class_name,score,x0,y0,x1,y1,area"]


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_half_precision_is_refused_since_boxes_need_float32(precision):
    with pytest.raises(ValueError, match=f"trainer.precision: {precision}; boxes need float32"):
        cpu_trainer(precision=precision).fit(segmenter(), shapes())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "vgg"}, "backbone: 'vgg' is none of resnet50_fpn, light"),
        ({"anchor_sizes": [8, 16]}, r"anchor_sizes: \[8, 16\]; light needs one .* each of the 4 levels"),
        ({"anchor_sizes": [0, 8, 16, 32]}, "anchor_sizes: .* at least 1 pixel"),
        ({"min_size": -1}, "min_size: -1 is too small"),
        ({"max_size": 0}, "max_size: 0 is too small"),
        ({"proposals": 0}, "proposals: 0 is too small"),
        ({"trainable_stages": 6}, "trainable_stages: 6; light has 4, give 0 to 4"),
        ({"min_score": 1.0}, r"min_score: 1\.0 is not in \[0, 1\)"),
        ({"weights": "COCO_V1"}, "weights: COCO_V1 are of backbone resnet50_fpn; for light give a file"),
        ({"class_names": ["a"]}, "class_names: 1 names for 3 classes"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MaskRCNNSegmenter(3, **{"proposals": None, **options})
