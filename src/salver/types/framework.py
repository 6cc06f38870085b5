"""What a model was made with."""

from __future__ import annotations

import msgspec


class Framework(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training library, its exact version, and the class of the model."""

    name: str  # "scikit-learn", "xgboost", …
    version: str
    model: str  # the class, for people: "RandomForestClassifier"
