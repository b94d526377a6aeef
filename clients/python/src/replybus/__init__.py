"""Calls over RabbitMQ, answered through Redis: callers, workers and events of replybus in Python."""

from .blocking import BlockingBus
from .bus import Bus
from .call import Call
from .codec import JSON, MSGPACK, ContentType
from .context import Context, current
from .errors import CallError, CallFailed, HandlerError
from .method import CallOptions, Method
from .service import Service
from .serving import Serving
from .stream import StreamCall
from .subscription import Subscription
from .ticket import CancelOutcome, Ticket

__all__ = [
    "JSON",
    "MSGPACK",
    "BlockingBus",
    "Bus",
    "Call",
    "CallError",
    "CallFailed",
    "CallOptions",
    "CancelOutcome",
    "ContentType",
    "Context",
    "HandlerError",
    "Method",
    "Service",
    "Serving",
    "StreamCall",
    "Subscription",
    "Ticket",
    "current",
]
