"""The vocabulary every layer shares: signatures, references, rows, records. Knows no files, no network, no framework."""

from salver.types.reference import Reference
from salver.types.signature import Column, Columns, Label, Output, Signature

__all__ = ["Column", "Columns", "Label", "Output", "Reference", "Signature"]
