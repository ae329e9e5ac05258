"""A detector that is trained, tested and asked by one process or by two."""

from typing import Any
from unittest.mock import patch

import torch
from matplotlib.image import imsave

from litzoo.callbacks import DetectionProgress, PredictionsCSV
from litzoo.datamodules import ShapesDataModule
from litzoo.lit_modules import MaskRCNNSegmenter
from tests.training import cpu_trainer

NAMES = ("circle", "square", "triangle")


def shapes() -> ShapesDataModule:
    """Makes the data; an odd number of images is trained, validated and tested on."""
    return ShapesDataModule(images=8, side=32, train_size=5, val_size=3, batch_size=1, eval_batch_size=2)


def segment(folder: str, **trainer_options: Any) -> dict[str, Any]:
    """Tests and predicts with an untrained module, the same everywhere, and trains it; returns what is found."""
    torch.manual_seed(2)
    module = MaskRCNNSegmenter(3, NAMES, proposals=10, min_score=0.2)
    quick = {"limit_test_batches": 3, "limit_predict_batches": 3, "num_sanity_val_steps": 0}
    trainer = cpu_trainer(
        max_epochs=1,
        callbacks=[DetectionProgress(epochs=[0, 1]), PredictionsCSV()],
        default_root_dir=folder,
        **quick,
        **trainer_options,
    )
    trainer.predict(module, shapes(), return_predictions=False)
    (validated,) = trainer.validate(module, shapes(), verbose=False)
    with patch("litzoo.callbacks.reporting.figures.imsave", wraps=imsave) as drawn:
        trainer.fit(module, shapes())
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    weights = torch.cat([weight.detach().flatten() for weight in module.parameters()])
    seen = {"validated": validated, "metrics": metrics, "weights": weights}
    return {**seen, "steps": trainer.global_step, "drawn": drawn.call_count}
