"""Samples for calibration."""

import numpy as np
import torch

COVERAGES = [0.8, 0.9, 0.95]


def sampled(n, classes=4, seed=0, sharpness=2.0):
    """Returns logits, and targets that do not follow their softmax: the model is too confident."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    target = (logits / 2).softmax(dim=1).multinomial(1, generator=generator).squeeze(1)
    return 2 * logits, target


def regression_samples():
    """Returns predictions `[n, 1]` and targets to calibrate on, and new predictions."""
    generator = np.random.default_rng(0)
    inputs, noise = generator.normal(size=(300, 1)), generator.normal(size=300)
    return inputs, inputs[:, 0] + noise, generator.normal(size=(50, 1))
