"""Calls over RabbitMQ, answered through Redis: callers, workers and events of replybus in Python."""

from .blocking import BlockingBus
from .bus import Bus
from .call import Call
from .codec import JSON, MSGPACK, ContentType
from .context import Context, current
from .errors import CallError, CallFailed, HandlerError, RetryLater
from .feeding import FeedCall
from .method import CallOptions, Method
from .progress import Progress
from .retries import Retry
from .service import Service
from .serving import Serving
from .stream import StreamCall
from .subscription import Subscription
from .ticket import CancelOutcome, Ticket, TicketStatus

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
    "FeedCall",
    "HandlerError",
    "Method",
    "Progress",
    "Retry",
    "RetryLater",
    "Service",
    "Serving",
    "StreamCall",
    "Subscription",
    "Ticket",
    "TicketStatus",
    "current",
]
