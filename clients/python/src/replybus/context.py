"""What a handler may know of the call that it runs for, and what its own calls inherit of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from .progress import Progress

_NAME = re.compile(r"[a-z0-9._-]{1,64}")
_ENTRIES_MAX, _BYTES_MAX = 32, 8 * 1024
TRACE = ("traceparent", "tracestate", "baggage")
# The last is RabbitMQ's, of a broker that is told to add it to all messages.
_PROTOCOL = frozenset({"deadline", "idempotency-key", "repeated", *TRACE, "timestamp_in_ms"})


@dataclass
class Context:
    """The call, or event, that a handler runs for."""

    call_id: str
    caller: str | None = None
    #: The names of the service and of the method; empty of an event.
    service: str = ""
    method: str = ""
    idempotency_key: str | None = None
    #: Which run of it this is; 1 is the first.
    attempt: int = 1
    #: It was delivered before, or sent again.
    redelivered: bool = False
    #: When its caller stops waiting, by the clock of the event loop.
    deadline: float | None = None
    priority: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: The headers of its trace.
    trace: Mapping[str, str] = field(default_factory=dict)
    #: Set when its caller has given it up. A query is cancelled then, a command is only told.
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    #: Where it is told how far a job is; of all else there is none.
    report: Callable[[Progress], None] | None = field(default=None, repr=False)

    def record_name(self) -> str:
        """What a handler that keeps a record of its own knows this request by, in each delivery: its
        idempotency key, or else its id, with the names of service and method before it.
        """
        key = self.idempotency_key
        known = f"id:{self.call_id}" if key is None else f"key:{key}"
        return f"{self.service}.{self.method}:{known}"

    def progress(self, done: int, total: int | None = None, note: str = "") -> None:
        """Says how far a job is: so much of so much, and words of up to 256 bytes for people.

        Say it as often as you like, from any thread: the newest is written, four times a second at
        most. Of all else than jobs it is not heard.

        Raises:
            ValueError: a count is no integer from 0 to 2^64 - 1.
        """
        progress = Progress(done, total, note)
        if self.report is not None:
            self.report(progress)

    def left(self) -> float | None:
        """Seconds until its deadline, if it has one; 0 when that has passed."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - asyncio.get_running_loop().time())


_CURRENT: ContextVar[Context | None] = ContextVar("replybus", default=None)


def current() -> Context | None:
    """The context of the handler that runs, if one does."""
    return _CURRENT.get()


@contextmanager
def entered(context: Context) -> Iterator[None]:
    """Makes this the current one."""
    token = _CURRENT.set(context)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def metadata_of(headers: Mapping[str, object]) -> dict[str, str]:
    """The metadata among the headers of a message; what does not fit is left out."""
    found: dict[str, str] = {}
    size = 0
    for name, value in list(headers.items())[:64]:
        text = as_text(value)
        if text is None or not is_metadata(name, text):
            continue
        size += len(name) + len(text.encode(errors="replace"))
        if len(found) == _ENTRIES_MAX or size > _BYTES_MAX:
            break
        found[name] = text
    return found


def is_metadata(name: str, value: str) -> bool:
    """Whether this may be an entry of metadata."""
    return (
        _NAME.fullmatch(name) is not None
        and not name.startswith(("x-", "dead-letter-"))
        and name not in _PROTOCOL
        and is_plain(value)
    )


def is_plain(text: str) -> bool:
    """False of a text with control characters, or of what came as no text."""
    return not any(c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in text)


def as_text(value: object) -> str | None:
    """A header as text; `None` of what is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value)
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return None
