"""Converters and landmarks, one module a family of estimators. Importing this package registers them all."""

from salver.lower.estimators import hist_trees, linear, trees

__all__ = ["hist_trees", "linear", "trees"]
