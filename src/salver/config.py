"""Where things are kept. Reads the environment when asked, never at import."""

from __future__ import annotations

import os
import sys
from pathlib import Path

STORE_VARIABLE = "SALVER_STORE"
ENVIRONMENTS_VARIABLE = "SALVER_ENVIRONMENTS"
PORT_VARIABLES = ("SAGEMAKER_BIND_TO_PORT", "AIP_HTTP_PORT")
TRUSTED_VARIABLE = "SALVER_TRUSTED"


def store_url(given: str | None = None) -> str:
    """The store: what was given, else SALVER_STORE, else a folder in the user's data directory."""
    return given or os.environ.get(STORE_VARIABLE) or str(_data_folder())


def store_folder(given: str | None = None) -> Path:
    """The store where it is a folder; for one elsewhere (s3://, gs://, az://), the folder here for its cache and its log."""
    url = store_url(given).removeprefix("file://")
    return _data_folder() if "://" in url else Path(url).expanduser()


def environments_folder() -> Path:
    """Where environments made for models are kept: SALVER_ENVIRONMENTS, else a folder in the user's data directory."""
    return Path(os.environ.get(ENVIRONMENTS_VARIABLE) or _data_folder() / "environments").expanduser()


def trusted_file() -> Path:
    """The list of models that this user saved or trusts: SALVER_TRUSTED, else a file in the user's data directory."""
    return Path(os.environ.get(TRUSTED_VARIABLE) or _data_folder() / "trusted.txt").expanduser()


def default_port() -> int:
    """The port to serve on where none is given: the one that SageMaker or Vertex AI expects in its containers, else 8080."""
    return next((int(os.environ[name]) for name in PORT_VARIABLES if os.environ.get(name, "").isdecimal()), 8080)


def _data_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "salver"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "salver"
