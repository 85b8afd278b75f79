"""The Python client: asks a running server over HTTP. `dovetail.connect(url)`, or `dovetail.connect_async(url)`."""

from dovetail.client.answer import Answer
from dovetail.client.asynchronous import AsyncClient, connect_async
from dovetail.client.errors import (
    ClientError,
    Forbidden,
    Gone,
    Incomplete,
    NotFound,
    NotYet,
    Refused,
    ServerFault,
    TooMany,
    Unreachable,
)
from dovetail.client.question import Question
from dovetail.client.receipt import Behind, Receipt
from dovetail.client.synchronous import Client, connect

__all__ = [
    "Answer",
    "AsyncClient",
    "Behind",
    "Client",
    "ClientError",
    "Forbidden",
    "Gone",
    "Incomplete",
    "NotFound",
    "NotYet",
    "Question",
    "Receipt",
    "Refused",
    "ServerFault",
    "TooMany",
    "Unreachable",
    "connect",
    "connect_async",
]
