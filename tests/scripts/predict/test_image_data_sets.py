"""A checkpoint of images of `from_datasets` predicts data sets like those of its training."""

import torch
from torch.utils.data import TensorDataset
from torchvision.transforms.v2.functional import to_pil_image

from litzoo import CNNClassifier, Predictor, from_datasets
from tests.datamodules.own_datasets import pixels
from tests.training import cpu_trainer


def test_data_sets_are_predicted_as_the_trainer_does():
    labels, images, test = torch.arange(30) % 3, pixels(side=8), pixels(side=8, seed=1)
    data = from_datasets(TensorDataset(images / 255, labels), test=TensorDataset(test / 255, labels), val_size=6)
    model = CNNClassifier(data.input_shape, 3)
    trainer = cpu_trainer(max_epochs=1)
    trainer.fit(model, data)
    trainer.save_checkpoint("best.ckpt")
    (expected,) = trainer.predict(model, data)
    predictor = Predictor.load("best.ckpt", device="cpu")
    pillow = [{"image": to_pil_image(each), "label": 0} for each in test]
    for inputs in (TensorDataset(test / 255, labels), test / 255, TensorDataset(test, labels), pillow):
        assert torch.equal(predictor(inputs).probabilities, expected["logits"].softmax(dim=1))
