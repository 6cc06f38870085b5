"""What SageMaker and Vertex AI say in the environment of their containers. It holds where no setting speaks."""

from __future__ import annotations

from collections.abc import Mapping

from salver.server.settings import Protocols, Settings

_VARIABLES = {
    "sagemaker_accept": "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT",
    "vertex_health": "AIP_HEALTH_ROUTE",
    "vertex_predict": "AIP_PREDICT_ROUTE",
}


def platform_changes(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """The settings that the platform makes, as `--set` has them."""
    given = settings.protocols
    changes: list[str] = []
    if given.invocations == "auto":
        mode = "sagemaker" if "SAGEMAKER_BIND_TO_PORT" in environment else "mlflow"
        changes.append(f"protocols.invocations={mode}")
    defaults = Protocols()
    for setting, name in _VARIABLES.items():
        if getattr(given, setting) == getattr(defaults, setting) and environment.get(name):
            changes.append(f"protocols.{setting}={environment[name]}")
    return changes
