"""Scores as users write them that need gradients, or several passes."""

import torch
from torch import nn

from litzoo.callbacks.unknown.scores import UnknownScore


class ODIN(UnknownScore):
    """Softmax at a temperature, of inputs moved towards the predicted class (Liang, Li & Srikant, ICLR 2018)."""

    extras = ("perturbed_logits",)

    def __init__(self, temperature=10.0, epsilon=0.05):
        super().__init__()
        self.temperature, self.epsilon = temperature, epsilon

    def observe(self, inputs, model):
        inputs = inputs.requires_grad_()
        loss = -(model(inputs) / self.temperature).log_softmax(dim=1).amax(dim=1).sum()
        (gradient,) = torch.autograd.grad(loss, inputs)
        with torch.no_grad():
            return {"perturbed_logits": model(inputs - self.epsilon * gradient.sign())}

    def __call__(self, evidence):
        logits = self.extra(evidence, "perturbed_logits").double()
        return 1 - (logits / self.temperature).softmax(dim=1).amax(dim=1)


class MCDropout(UnknownScore):
    """Entropy of the mean prediction over passes with dropout (Gal & Ghahramani, ICML 2016)."""

    extras = ("mean_probabilities",)

    def __init__(self, passes=8):
        super().__init__()
        self.passes = passes

    def observe(self, inputs, model):
        dropouts = [layer for layer in model.modules() if isinstance(layer, nn.Dropout)]
        for layer in dropouts:
            layer.train()
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            mean = torch.stack([model(inputs).softmax(dim=1) for _ in range(self.passes)]).mean(dim=0)
        for layer in dropouts:
            layer.eval()
        return {"mean_probabilities": mean}

    def __call__(self, evidence):
        p = self.extra(evidence, "mean_probabilities").double()
        return -(p * p.clamp(min=1e-30).log()).sum(dim=1)
