"""JSON Schemas (2020-12) of what a model takes and gives, made from its signature."""

from __future__ import annotations

from typing import Any

import numpy as np

from salver.types.rows import FLOAT32_MAX
from salver.types.signature import ANY_SHAPE, Column, Label, Output, Signature

Schema = dict[str, Any]


def row_schema(signature: Signature, example: object) -> Schema:
    """One row: by position, by name, or where there is but one column, its value."""
    columns = signature.columns
    values, by_name = [value_schema(column) for column in columns], named_row_schema(signature)
    by_position = _tuple(values) | {"title": "by position"}
    forms = [by_position, by_name]
    if len(columns) == 1:
        is_tensor = any(column.shape for column in columns)
        forms = [values[0], by_name] if is_tensor else [*forms, values[0]]
    return {"title": "Row", "anyOf": forms, "examples": [example]}


def named_row_schema(signature: Signature) -> Schema:
    """One row as an object by column name."""
    return {
        "title": "by name",
        "type": "object",
        "properties": {column.name: value_schema(column) for column in signature.columns},
        "required": [column.name for column in signature.columns if not column.nullable],
        "additionalProperties": False,
    }


def value_schema(column: Column) -> Schema:
    """One value of a column."""
    return _array(_scalar(column) | _nullable(column), column.shape)


def answer_schema(signature: Signature) -> Schema:
    """The prediction of one row."""
    main = [output for output in signature.outputs if output.name not in ("probabilities", "scores")]
    if len(main) == 1:
        return output_schema(main[0])
    return {"type": "object", "properties": {output.name: output_schema(output) for output in main}}


def output_schema(output: Output) -> Schema:
    """One row's value of an output; labels are listed."""
    classes: Any = output.classes
    if output.is_multilabel:
        return _tuple([{"enum": list(labels)} for labels in classes])
    if classes is not None:
        return {"enum": list(classes)}
    if output.dtype == "string":
        return _array({"type": "string"}, output.shape)
    if output.dtype == "bool":
        return _array({"type": "boolean"}, output.shape)
    # A number that is none is null, since JSON has no other way to say it.
    kind = {"type": ["number", "null"]} if output.dtype.startswith("float") else {"type": "integer"}
    return _array(kind, output.shape)


def _scalar(column: Column) -> Schema:
    if column.dtype == "category":
        return _category(column.categories or (), column.unseen)
    if column.dtype == "string":
        return {"type": "string"}
    if column.dtype == "bool":
        return {"type": "boolean"}
    if column.dtype.startswith(("int", "uint")):
        info = np.iinfo(column.dtype)
        return {"type": "integer", "minimum": int(info.min), "maximum": int(info.max)}
    if column.infinite:
        return {"anyOf": [{"type": "number"}, {"enum": ["Infinity", "-Infinity"]}]}
    return {"type": "number"} | ({"minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX} if column.dtype == "float32" else {})


def _category(categories: tuple[Label, ...], unseen: bool) -> Schema:
    known: Schema = {"enum": list(categories)}
    if not unseen:
        return known
    kinds = {"string" if isinstance(category, str) else "number" for category in categories}
    return {"anyOf": [known, {"type": sorted(kinds) or "string"}]}


def _nullable(column: Column) -> Schema:
    """What makes a column's schema take null too, to be laid over it."""
    if not column.nullable:
        return {}
    schema = _scalar(column)
    if "anyOf" in schema:
        return {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "enum" in schema:
        return {"enum": [*schema["enum"], None]}
    return {"type": [schema["type"], "null"]}


def _array(schema: Schema, shape: tuple[int, ...]) -> Schema:
    if shape == ANY_SHAPE:
        return {"anyOf": [schema, {"type": "array"}]}
    for size in reversed(shape):
        schema = {"type": "array", "items": schema} | ({"minItems": size, "maxItems": size} if size >= 0 else {})
    return schema


def _tuple(schemas: list[Schema]) -> Schema:
    size = len(schemas)
    return {"type": "array", "prefixItems": schemas, "items": False, "minItems": size, "maxItems": size}
