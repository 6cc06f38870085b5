"""Tables of any library ↔ arrays by column. Imports the library of a table only when it is given one."""

from salver.tables.counterpart import like
from salver.tables.files import read_file
from salver.tables.table import categories, pick, read

__all__ = ["categories", "like", "pick", "read", "read_file"]
