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
    BorrowedWeights,
    fetch,
    place_of,
    read_weights,
    require_there,
    scaling_of,
    weights_of,
)


class TransferClassifier(BorrowedWeights, Classifier):
    """A network that was trained on other data, with a new head: one of torchvision's, or that of a litzoo checkpoint.

    Its weights are put in when a training begins; its own checkpoints hold all that it needs, so that a test, a
    prediction or a resumed training looks for neither file nor checkpoint. Without further ado the whole network is
    trained; `GradualUnfreezing` trains the head alone, or stage after stage.

    Weights of torchvision's see images in the normalisation that they were trained with, whatever the datamodule's.
    A backbone of litzoo's sees them in that of the data they are of now: both times mean 0 and standard deviation 1.

    Args:
        input_shape: `(C, H, W)` of an image. Grey images become as many channels as the network takes.
        num_classes: How many classes there are.
        network: Of torchvision by name, such as `vgg16` or `resnet18`.
        weights: Of that network: a name (`IMAGENET1K_V1`, `DEFAULT`), or a file as torchvision offers it for download;
            left out, it starts from random ones.
        backbone: Instead of a network: a checkpoint of any classifier of the zoo for images, its path or the name of
            an experiment, whose newest run with a `best.ckpt` is taken.
        size: Height and width in pixels that images are brought to on the device, one number for both; left out,
            they stay as they are.
        from_scratch: Whether the network starts from random weights nevertheless: what it is compared with.
        runs: Folder of runs in which an experiment is looked for; the command's own.
        described: What the backbone is built of; checkpoints keep it, and bring their weights. Not to be given.
        **options: See `Classifier` and `LitModule`.

    Raises:
        FileNotFoundError: If there is no such backbone.
        ValueError: If not one of `network` and `backbone` is given, there is no such network or name of weights, the
            backbone is no checkpoint of a classifier of the zoo, or the images are too small.
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
                f"model: network {network}, backbone {backbone}; give the name of one of torchvision's networks, or a "
                "checkpoint of litzoo's"
            )
        if network is None and weights is not None:
            raise ValueError(f"model.weights: {weights} is for a network; a backbone brings its own: leave it out")
        source: WeightsEnum | Path | None = None
        net: TransferNetwork
        if network is not None:
            net = TorchvisionNetwork(network, input_shape, num_classes, size)
            source = None if weights is None else weights_of(network, weights)
        else:
            if not described:
                assert backbone is not None
                source = find_backbone(backbone, Path(runs))
            built_of = described or describe(Path(str(source)))
            net = build(built_of, input_shape, num_classes, size)
        super().__init__(net, num_classes, **options)
        for borrowed in ("weights", "backbone", "runs"):  # not needed any more, and a path is no plain word
            self.hparams.pop(borrowed, None)
        self.hparams["described"] = {} if network is not None else built_of
        self.network = network
        self.source = None if from_scratch or described is not None else source
        self._cached: tuple[Tensor, Tensor] | None = None

    def fetch(self) -> None:
        """Downloads weights of torchvision's, unless they are there."""
        if self.network is not None:
            fetch(self.source)

    def trained(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns logits `[B, K]` and the objective of a training batch, from cached features where there are any."""
        if self._cached is None:
            return super().trained(batch)
        index, features = self._cached
        logits = self.net.head(features[torch.searchsorted(index, batch["index"])].to(self.dtype))
        return logits, self.objective(logits, batch, batch["target"])

    def cache_features(self, index: Tensor | None, features: Tensor | None = None) -> None:
        """Has training look up features instead of computing them, from now on or, without any, no longer.

        Args:
            index: Positions of all training samples in rising order, int64 `[N]`.
            features: Of these, `[N, D]`.
        """
        self._cached = None if index is None or features is None else (index, features)

    def require_cacheable(self) -> None:
        """Refuses to look features up where a sample's are not the same every time.

        Raises:
            ValueError: If samples are mixed, or learned from without labels.
        """
        for name in ("mix", "pseudo_labels"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"model.{name}: makes other images of the training samples, so that their features cannot be "
                    "cached; leave it out, or cache_features"
                )

    def put_in(self) -> None:
        """Puts weights in, and takes over the normalisation of the data."""
        source, known = self.source, None
        if self.network is None:
            assert isinstance(source, Path)
            asked, state = f"model.backbone {source}", trunk_weights(source)
        else:
            assert isinstance(self.net, TorchvisionNetwork)
            require_there(source)
            place = place_of(source)
            asked, state = f"model.weights {place}", read_weights(place)
            self.net.keep_trunk(state)
            known = scaling_of(self.network, source)
        if misfit := first_misfit(state, self.net.trunk):
            raise ValueError(f"{asked}: are of another network: {misfit} asked for; give weights of the same one")
        self.net.trunk.load_state_dict(state)
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
        if known is not None and hasattr(datamodule, "scaling"):
            self.net.rescale(datamodule.scaling, known)
