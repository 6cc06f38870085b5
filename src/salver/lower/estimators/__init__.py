"""Converters and landmarks, one module a family of estimators. Importing this package registers them all."""

from salver.lower.estimators import linear

__all__ = ["linear"]
