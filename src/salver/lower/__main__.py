"""`python -m salver.lower FILE NAME DESTINATION`: lowering in a process of its own, so that who asks imports no training library.

Exits 0 with the artifact written, or 3 with the error's code and message as JSON on standard output.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import msgspec

from salver.errors import SalverError
from salver.lower.publish import publish

REFUSED = 3


def main(arguments: list[str]) -> int:
    file, name, destination = arguments
    warnings.simplefilter("ignore")  # the libraries' advice to trainers; what matters here is the proof
    try:
        publish(Path(file), name, Path(destination))
    except SalverError as error:
        sys.stdout.buffer.write(msgspec.json.encode({"code": error.code, "message": error.message}))
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
