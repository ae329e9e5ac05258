"""Finds labels that are probably wrong."""

from litzoo.callbacks.label_issues.finder import NoisyLabelFinder

__all__ = ["NoisyLabelFinder"]
