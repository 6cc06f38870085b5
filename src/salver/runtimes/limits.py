"""What the process of a native model may do before it is ended or replaced."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

from salver.errors import ConfigError


class HostLimits(NamedTuple):
    """0 is no limit. `memory_bytes` is growth since the first answer, `calls` the answers after which it is replaced."""

    call_s: float = 60.0
    memory_bytes: int = 2**30
    calls: int = 0


def host_limits() -> HostLimits:
    """From SALVER_CALL_TIMEOUT_S, SALVER_HOST_MEMORY_BYTES and SALVER_HOST_CALLS. Raises ConfigError."""
    plain = HostLimits()
    return HostLimits(
        number_of("SALVER_CALL_TIMEOUT_S", plain.call_s),
        int(number_of("SALVER_HOST_MEMORY_BYTES", plain.memory_bytes)),
        int(number_of("SALVER_HOST_CALLS", plain.calls)),
    )


def number_of(variable: str, default: float) -> float:
    """What an environment variable says; `default` where there is none. Raises ConfigError when it is no number from 0 on."""
    given = os.environ.get(variable)
    if not given:
        return default
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise ConfigError(f"{variable} must be a number, 0 or more")
    return number
