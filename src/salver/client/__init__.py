"""A client of Salver's servers: `Client`, and `AsyncClient` for asyncio.

The same files are the package `salver_client` of the distribution salver-client, for those who ask and do not serve. So modules
here import one another relatively, and nothing else of Salver: docs/decisions/client-under-two-names.md.
"""

from .aio import AsyncClient
from .answers import Answer
from .blocking import Client
from .errors import ClientError, DeadlineExceeded, RequestRefused, Unreachable

__all__ = ["Answer", "AsyncClient", "Client", "ClientError", "DeadlineExceeded", "RequestRefused", "Unreachable"]
