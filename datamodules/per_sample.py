import copy
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

APPLY = "_apply_image_or_video_transform"
"""The method of torchvision's policies that changes a picture, once they have drawn how."""
Chain = list[tuple[str, float]]


class PerSample:
    """Has a policy of torchvision's draw anew for every picture of a batch; by itself it draws once a call.

    Each picture becomes, to the bit, what the policy makes of it alone, with the same draws of torch's own generator.
    But all pictures for which an operation was drawn in the same strength are changed at once, two to four times as
    fast on a CPU; a policy that does not let its draws be seen gets them one by one.

    Args:
        policy: From one picture, uint8 `[C, H, W]` with one or three channels, to another.
    """

    def __init__(self, policy: v2.Transform) -> None:
        self.policy = policy
        self._drawing: Any = copy.deepcopy(policy)
        self._last: Tensor | None = None
        self._chains: list[Chain] = []
        self._shares: list[Tensor] = []
        if hasattr(policy, APPLY):
            setattr(self._drawing, APPLY, self._note)
        self._mixes = isinstance(policy, v2.AugMix)
        if self._mixes:
            self._drawing._sample_dirichlet = self._note_shares

    def __call__(self, pictures: Tensor) -> Tensor:
        """Returns pictures of the same shape `[B, C, H, W]`, uint8; others are rounded."""
        if pictures.is_floating_point():
            pictures = pictures.round().clamp(0, 255).to(torch.uint8)
        if not hasattr(self.policy, APPLY):
            return torch.stack([self.policy(picture) for picture in pictures])
        chains: list[Chain] = []
        shares: list[list[Tensor]] = []
        for _ in range(len(pictures)):
            self._chains, self._shares = [] if self._mixes else [[]], []
            self._drawing(pictures[0])
            chains += self._chains
            shares.append(self._shares)
        if self._mixes:
            return self._mixed(pictures, chains, *map(torch.cat, zip(*shares, strict=True)))
        return self._changed(pictures.clone(), chains)

    def _note(self, picture: Tensor, operation: str, strength: float, *how: Any, **named: Any) -> Tensor:
        """Stands in for what changes a picture."""
        self._how = how, named
        if self._mixes and picture is not self._last:  # each chain begins with the picture as it is
            self._chains.append([])
        self._chains[-1].append((operation, strength))
        self._last = picture.view_as(picture)
        return self._last

    def _note_shares(self, params: Tensor) -> Tensor:
        self._shares.append(torch._sample_dirichlet(params))
        return self._shares[-1]

    def _changed(self, pictures: Tensor, chains: list[Chain]) -> Tensor:
        """Does each picture's operations one after the other, in place."""
        for step in range(max(map(len, chains), default=0)):
            alike: dict[tuple[str, float], list[int]] = {}
            for row, chain in enumerate(chains):
                if step < len(chain):
                    alike.setdefault(chain[step], []).append(row)
            for drawn, rows in alike.items():
                how, named = self._how
                pictures[rows] = getattr(self.policy, APPLY)(pictures[rows], *drawn, *how, **named)
        return pictures

    def _mixed(self, pictures: Tensor, chains: list[Chain], share: Tensor, shares: Tensor) -> Tensor:
        """Mixes pictures with so many changed ones of each, by their shares `[B, 2]` and `[B, width]`."""
        width = shares.shape[1]
        changed = self._changed(pictures.repeat_interleave(width, 0), chains).unflatten(0, (-1, width))
        weights = (shares * share[:, 1:])[..., None, None, None]
        mix = share[:, :1, None, None] * pictures
        for number in range(width):
            mix += weights[:, number] * changed[:, number]
        return mix.to(torch.uint8)
