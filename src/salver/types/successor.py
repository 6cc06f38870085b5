"""Whether a version can take another's place: whoever asks the one must be able to ask the other, and be understood."""

from __future__ import annotations

from salver.types.signature import Column, Output, Signature

_WIDER = {
    "float64": {"float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"},
    "float32": {"float64", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"},
    "int64": {"int32", "int16", "int8", "uint32", "uint16", "uint8", "bool"},
    "string": {"category"},
}
"""What each dtype also takes of what is sent. float32 is how the model itself works: it takes any number."""


def obstacle(before: Signature, after: Signature) -> str:
    """Why a model with the signature `after` can't answer those who ask one with `before`; empty when it can.

    Rows may be lists, so that the columns must be the same in the same order; each must take what it took before. What was
    given before must be given still; new classes are no obstacle.
    """
    if before.task != after.task:
        return f"its task is {after.task}, not {before.task}"
    missing = [name for name in before.names if name not in after.names]
    added = [name for name in after.names if name not in before.names]
    if missing or added:
        return "; ".join(
            part
            for part in (
                f"it wants columns that are not sent: {', '.join(added)}" if added else "",
                f"it does not know columns that are sent: {', '.join(missing)}" if missing else "",
            )
            if part
        )
    if before.names != after.names:
        return "its columns come in another order"
    for old, new in zip(before.columns, after.columns, strict=True):
        if reason := _narrower(old, new):
            return f"column '{new.name}' {reason}"
    for output in before.outputs:
        if reason := _less(output, after.output(output.name)):
            return reason
    return ""


def _narrower(old: Column, new: Column) -> str:
    """What the new column does not take that the old one takes."""
    if old.shape != new.shape:
        return f"has the shape {list(new.shape)}, not {list(old.shape)}"
    if new.dtype != old.dtype and old.dtype not in _WIDER.get(new.dtype, ()):
        return f"is {new.dtype}, not {old.dtype}"
    if old.nullable and not new.nullable:
        return "takes no missing values any more"
    if old.infinite and not new.infinite:
        return "takes no infinities any more"
    if new.categories is not None and not new.unseen:
        if old.unseen:
            return "takes no unknown categories any more"
        lost = [category for category in old.categories or () if category not in new.categories]
        if lost:
            return f"does not know {len(lost)} of its categories any more"
    return ""


def _less(old: Output, new: Output | None) -> str:
    if new is None:
        return f"it gives no {old.name} any more"
    if (old.classes is None) != (new.classes is None) or len(old.shape) != len(new.shape):
        return f"its {old.name} is of another kind"
    return ""
