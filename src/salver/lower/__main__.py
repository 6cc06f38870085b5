"""`python -m salver.lower FILE NAME DESTINATION`: lowering in a process of its own; who asks imports no training library.

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
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            publish(Path(file), name, Path(destination))
        _pass_on(warned)
    except SalverError as error:
        sys.stdout.buffer.write(msgspec.json.encode({"code": error.code, "message": error.message}))
        return REFUSED
    return 0


def _pass_on(warned: list[warnings.WarningMessage]) -> None:
    """Say which library versions do not fit; the libraries' other advice is for trainers."""
    told = {str(warning.message) for warning in warned if warning.category.__name__ == "InconsistentVersionWarning"}
    for message in sorted(told)[:1]:
        what = message.partition(". This might")[0]
        print(f"  warning: {what}; the proof holds for the library installed here", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
