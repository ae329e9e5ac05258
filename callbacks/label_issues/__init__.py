"""Finds training samples whose label is probably wrong."""

from litzoo.callbacks.label_issues.finder import NoisyLabelFinder

__all__ = ["NoisyLabelFinder"]
