"""What a request says about itself, read without trust."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from . import context
from .codec import JSON, MSGPACK, REQUEST_BYTES_MAX, ContentType, content_type_in, content_type_of
from .errors import CallFailed
from .message import Message
from .names import Names, is_id, new_id

#: Seconds by which the clocks of caller and worker may differ.
CLOCK_ALLOWANCE = 0.5


@dataclass
class Envelope:
    """A request, as far as it can be read."""

    message: Message
    call_id: str
    #: The message says that id itself: it has it in every delivery.
    is_named: bool
    #: Somebody looks for the reply.
    is_awaited: bool
    inbox: str | None
    content_type: ContentType
    #: When its caller stops waiting, and when it is not to be started any more, by the loop's clock.
    deadline: float | None
    start_by: float | None
    #: The deadline as the message names it, in milliseconds since the Unix epoch.
    deadline_ms: int | None
    key: str | None
    #: An earlier delivery or copy may have been run.
    seen_before: bool
    is_redriven: bool
    #: The first thing that is wrong with it.
    fault: CallFailed | None

    def is_late(self) -> bool:
        """True once it is not to be started any more."""
        now = asyncio.get_running_loop().time()
        return self.start_by is not None and self.start_by <= now

    def context(self, attempt: int) -> context.Context:
        """What its handler may know."""
        headers = self.message.headers
        texts = {name: context.as_text(headers[name]) for name in context.TRACE if name in headers}
        trace = {name: text for name, text in texts.items() if text is not None}
        if "traceparent" not in trace:
            # It begins here, and is named after the call.
            trace_id = self.call_id.replace("-", "")
            trace["traceparent"] = f"00-{trace_id}-{trace_id[16:]}-00"
        return context.Context(
            call_id=self.call_id,
            caller=self.message.app_id,
            idempotency_key=self.key,
            attempt=attempt,
            redelivered=self.seen_before,
            deadline=self.deadline,
            priority=self.message.priority or 0,
            metadata=context.metadata_of(headers),
            trace=trace,
        )


class _Faults:
    """Keeps the first."""

    def __init__(self) -> None:
        self.first: CallFailed | None = None

    def note(self, text: str) -> None:
        if self.first is None:
            self.first = CallFailed("bad_request", text, False)


def read(message: Message, names: Names) -> Envelope:
    """The envelope of a message."""
    faults = _Faults()
    if unreadable := message.malformed():
        faults.note(f"the message can't be read: {unreadable}")
    named, inbox = _address(message, names, faults)
    is_awaited = message.correlation_id is not None and is_id(message.correlation_id)
    if len(message.body) > REQUEST_BYTES_MAX:
        faults.note(f"the body has {len(message.body)} bytes, {REQUEST_BYTES_MAX} are allowed")
    deadline, start_by, deadline_ms = _times(message, inbox is not None, faults)
    repeated = message.headers.get("repeated", False)
    if context.as_text(repeated) is None:
        faults.note("header repeated: it has no value that can be read")
    return Envelope(
        message=message,
        call_id=named or new_id(),
        is_named=named is not None,
        is_awaited=is_awaited,
        inbox=inbox,
        content_type=_content_type(message, faults),
        deadline=deadline,
        start_by=start_by,
        deadline_ms=deadline_ms,
        key=_key(message, faults),
        seen_before=message.redelivered or context.as_text(repeated) in ("true", None),
        is_redriven="dead-letter-redriven" in message.headers,
        fault=faults.first,
    )


def _address(message: Message, names: Names, faults: _Faults) -> tuple[str | None, str | None]:
    if message.correlation_id is None:
        return (message.message_id if is_id(message.message_id) else None), None
    if not is_id(message.correlation_id):
        faults.note("correlation_id: a UUID in lower case with hyphens is expected")
        return None, None
    if message.reply_to is None:
        return message.correlation_id, None
    if not names.is_inbox(message.reply_to):
        faults.note("reply_to: not an inbox of this bus")
        return message.correlation_id, None
    return message.correlation_id, message.reply_to


def _content_type(message: Message, faults: _Faults) -> ContentType:
    try:
        return content_type_of(message.content_type)
    except ValueError as error:
        faults.note(str(error))
        is_json = "json" in (message.content_type or "").lower()
        return JSON if is_json else content_type_in(message.body) if message.body else MSGPACK


def _key(message: Message, faults: _Faults) -> str | None:
    if "idempotency-key" not in message.headers:
        return None
    key = context.as_text(message.headers["idempotency-key"])
    if key is None or not (0 < len(key.encode(errors="replace")) < 256 and context.is_plain(key)):
        faults.note(
            "header idempotency-key: 1 to 255 bytes without control characters are expected"
        )
        return None
    return key


def _times(
    message: Message, waits: bool, faults: _Faults
) -> tuple[float | None, float | None, int | None]:
    """When its caller stops waiting, when it is no longer to be started, and the deadline's name."""
    now, clock = asyncio.get_running_loop().time(), time.time()
    expires = by_clock = named = None
    if (message.expiration or "").isdecimal():
        expires = now + int(message.expiration or 0) / 1000
    if "deadline" in message.headers:
        text = context.as_text(message.headers["deadline"]) or ""
        if text.isascii() and text.isdecimal() and len(text) < 20:
            named = int(text)
            by_clock = now + max(0.0, named / 1000 + CLOCK_ALLOWANCE - clock)
        else:
            faults.note("header deadline: milliseconds since the Unix epoch are expected")
    known = [moment for moment in (expires, by_clock) if moment is not None]
    start_by = min(known) if known else None
    if not waits and "x-replybus-due" in message.headers:
        # It was delayed: its deadline says until when it may be started.
        return None, start_by, None
    if by_clock is None:
        return (expires if waits else None), start_by, None
    return start_by, start_by, named
