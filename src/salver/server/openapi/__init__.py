"""GET /openapi.json: OpenAPI 3.1, typed for the models that are served right now."""

from salver.server.openapi.document import document, newest

__all__ = ["document", "newest"]
