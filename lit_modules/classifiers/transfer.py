from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.models._api import WeightsEnum

from litzoo.datamodules.batch import Batch
from litzoo.lit_modules.classifiers._backbones import build, describe, find_backbone, trunk_weights
from litzoo.lit_modules.classifiers.base import Classifier
from litzoo.lit_modules.networks import TorchvisionNetwork, TransferNetwork
from litzoo.lit_modules.weights.checkpoint_files import first_misfit
from litzoo.lit_modules.weights.pretrained import (
    PretrainedWeights,
    download,
    normalisation_of,
    read_weights,
    require_file,
    weights_path,
    weights_source,
)


class TransferClassifier(PretrainedWeights, Classifier):
    """A pretrained network with a new head: one of torchvision's, or that of a litzoo checkpoint.

    The pretrained weights are loaded when training starts. The module's own checkpoints are complete: testing,
    predicting and resuming need neither the weights file nor the backbone's checkpoint. By default the whole network is
    trained; `GradualUnfreezing` trains the head alone, or one stage after the other.

    Torchvision's weights get images in the normalisation that they were trained with, whatever the datamodule's. A
    litzoo backbone gets them in that of the current datamodule: in both data sets mean 0 and standard deviation 1.

    Args:
        input_shape: `(C, H, W)` of an image. Grey images are expanded to the channels of the network.
        num_classes: Number of classes.
        network: Name of a torchvision network, such as `vgg16` or `resnet18`.
        weights: Weights of that network: a name (`IMAGENET1K_V1`, `DEFAULT`), or a file in the format of torchvision's
            downloads; random by default.
        backbone: Instead of a network: a checkpoint of any litzoo image classifier, by its path or by the name of an
            experiment, for its newest run with a `best.ckpt`.
        size: Height and width in pixels that images are resized to on the device, one number for both; by default they
            keep their size.
        from_scratch: Whether the network starts from random weights anyway, as a baseline.
        runs: Folder of runs in which experiments are looked up; the command sets it.
        described: How to build the backbone; saved in checkpoints, which contain its weights. Do not set it.
        **options: See `Classifier` and `LitModule`.

    Raises:
        FileNotFoundError: If the backbone does not exist.
        ValueError: If not exactly one of `network` and `backbone` is given, the network or the name of the weights is
            unknown, the backbone is not a checkpoint of a litzoo classifier, or the images are too small.
    """

    net: TransferNetwork

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        network: str | None = None,
        weights: str | None = None,
        backbone: str | None = None,
        size: int | tuple[int, int] | None = None,
        from_scratch: bool = False,
        runs: str = "runs",
        described: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if (network is None) == (backbone is None and not described):
            raise ValueError(
                f"model: network {network}, backbone {backbone}; give either the name of a torchvision network or a "
                "litzoo checkpoint"
            )
        if network is None and weights is not None:
            raise ValueError(f"model.weights: {weights} is for a network; a backbone has its own weights: leave it out")
        source: WeightsEnum | Path | None = None
        net: TransferNetwork
        if network is not None:
            net = TorchvisionNetwork(network, input_shape, num_classes, size)
            source = None if weights is None else weights_source(network, weights)
        else:
            if not described:
                assert backbone is not None
                source = find_backbone(backbone, Path(runs))
            description = described or describe(Path(str(source)))
            net = build(description, input_shape, num_classes, size)
        super().__init__(net, num_classes, **options)
        for name in ("weights", "backbone", "runs"):  # paths, which a checkpoint does not need
            self.hparams.pop(name, None)
        self.hparams["described"] = {} if network is not None else description
        self.network = network
        self.source = None if from_scratch or described is not None else source
        self._cached: tuple[Tensor, Tensor] | None = None

    def training_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns logits `[B, K]` and the objective of a training batch, from cached features if there are any."""
        if self._cached is None:
            return super().training_loss(batch)
        index, features = self._cached
        logits = self.net.head(features[torch.searchsorted(index, batch["index"])].to(self.dtype))
        return logits, self.objective(logits, batch, batch["target"])

    def cache_features(self, index: Tensor | None, features: Tensor | None = None) -> None:
        """Makes training look up features instead of computing them; `None` turns that off.

        Args:
            index: Positions of all training samples in ascending order, int64 `[N]`.
            features: Their features, `[N, D]`.
        """
        self._cached = None if index is None or features is None else (index, features)

    def require_cacheable(self) -> None:
        """Raises if the features of a sample change from epoch to epoch, so that they cannot be cached.

        Raises:
            ValueError: If samples are mixed or pseudo-labeled.
        """
        for name in ("mix", "pseudo_labels"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"model.{name}: changes the training images, so that their features cannot be cached; leave it "
                    "out, or cache_features"
                )

    def download_weights(self) -> None:
        """Downloads torchvision's weights unless they are there."""
        if self.network is not None:
            download(self.source)

    def load_pretrained(self) -> None:
        """Loads the weights of the trunk, and sets up the conversion to the normalisation they were trained with."""
        source, normalisation = self.source, None
        if self.network is None:
            assert isinstance(source, Path)
            origin, state, remedy = f"model.backbone {source}", trunk_weights(source), ""
        else:
            assert isinstance(self.net, TorchvisionNetwork)
            require_file(source)
            path = weights_path(source)
            origin, state = f"model.weights {path}", read_weights(path)
            remedy = " with torchvision's names; those of other libraries need a network of your own (docs/transfer.md)"
            self.net.keep_trunk(state)
            normalisation = normalisation_of(self.network, source)
        if misfit := first_misfit(state, self.net.trunk):
            raise ValueError(f"{origin}: are of another network: {misfit}; give weights of the same network{remedy}")
        self.net.trunk.load_state_dict(state)
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        if normalisation is not None and hasattr(datamodule, "scaling"):
            self.net.convert_normalisation(datamodule.scaling, normalisation)
