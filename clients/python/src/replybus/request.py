"""One call as a message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pamqp.commands import Basic

from . import context
from .codec import MSGPACK, REQUEST_BYTES_MAX, ContentType, encode
from .errors import CallFailed
from .link import properties
from .method import CallOptions, Method
from .names import new_id

#: Above this a quorum queue hands messages out before others.
_PRIORITY_IN_ORDER = 4
_PRIORITIES = {"low": 1, "normal": None, "high": 9}
#: Seconds within which a call must be started that nobody waits for.
START_WITHIN = 24 * 60 * 60.0
#: Seconds that a call may be given.
_TIMEOUT_MAX = 7 * 24 * 60 * 60.0

Trace = Callable[[], Mapping[str, str]]


@dataclass
class Request:
    """A call that was prepared."""

    call_id: str
    method: Method
    #: Without the namespace; of a partition with its number.
    queue: str
    content_type: ContentType
    body: bytes
    #: Seconds from when it was prepared.
    timeout: float
    #: When that is over, by the clock of the event loop.
    until: float
    #: The same by the clock of this machine, in milliseconds.
    deadline_ms: int
    idempotency_key: str | None
    priority: int | None
    #: What travels besides the deadline and the key.
    headers: dict[str, str] = field(default_factory=dict)
    #: When it is due, if that is later: seconds since the Unix epoch.
    due: float | None = None
    #: More than one copy may have reached the broker.
    is_repeated: bool = False

    def left(self) -> float:
        """Seconds until its time is over; at least a millisecond."""
        return max(0.001, self.until - asyncio.get_running_loop().time())

    def may_be_repeated(self) -> bool:
        """Whether a second copy does no harm: it is a query, or known by its record, and there is time.

        Of a partition it would come behind later calls of its key.
        """
        is_known = not self.method.is_command or self.method.is_recorded
        is_in_time = asyncio.get_running_loop().time() < self.until
        return is_known and is_in_time and "x-replybus-partition" not in self.headers

    def awaited(self, inbox: str, app: str) -> Basic.Properties:
        """The properties of one whose reply is waited for in this inbox."""
        return self._properties(
            app,
            {"deadline": str(self.deadline_ms)},
            correlation_id=self.call_id,
            reply_to=inbox,
            delivery_mode=2 if self.method.is_command else 1,
        )

    def submitted(self, app: str) -> Basic.Properties:
        """The properties of one whose reply is fetched later."""
        return self._properties(
            app, {}, correlation_id=self.call_id, message_id=self.call_id, delivery_mode=2
        )

    def one_way(self, app: str) -> Basic.Properties:
        """The properties of one that has no reply."""
        return self._properties(app, {}, message_id=self.call_id, delivery_mode=2)

    def _properties(self, app: str, first: dict[str, Any], **named: Any) -> Basic.Properties:
        headers = first | self.entry_headers()
        expiration: str | None = str(max(1, int(self.left() * 1000)))
        if self.due is not None:
            # It has no time to live while it waits: its deadline says until when it may be started.
            expiration = None
            headers["deadline"] = str(int((self.due + self.timeout) * 1000))
            headers["x-replybus-due"] = str(int(self.due * 1000))
        if self.is_repeated:
            headers["repeated"] = True
        return properties(
            message_type=self.method.name,
            content_type=self.content_type,
            expiration=expiration,
            priority=self.priority,
            app_id=app,
            headers=headers,
            **named,
        )

    def entry_headers(self) -> dict[str, Any]:
        """The headers that each call has of its own."""
        key = {} if self.idempotency_key is None else {"idempotency-key": self.idempotency_key}
        return key | self.headers


def prepare(
    method: Method,
    arguments: Mapping[str, Any],
    options: CallOptions,
    trace: Trace | None,
    *,
    is_awaited: bool,
) -> Request:
    """A request of this call; what a running handler's call says is inherited.

    Raises:
        CallFailed: `bad_request`, without anything having been sent.
    """
    of = context.current()
    timeout = options.get("timeout", method.timeout if is_awaited else START_WITHIN)
    left = of.left() if of and is_awaited else None
    timeout = timeout if left is None else min(timeout, left)
    content_type = options.get("content_type", MSGPACK)
    key = options.get("idempotency_key")
    try:
        if not 0 < timeout <= _TIMEOUT_MAX:
            raise ValueError(f"a timeout of {timeout} s: there must be time, and a week at most")
        if key is not None and not (0 < len(key.encode()) < 256 and context.is_plain(key)):
            raise ValueError("an idempotency key has 1 to 255 bytes without control characters")
        body = encode(content_type, dict(arguments))
        if len(body) > REQUEST_BYTES_MAX:
            raise ValueError(f"{len(body)} bytes of arguments, {REQUEST_BYTES_MAX} are allowed")
        queue, partition = method.place(arguments)
        headers = _inherited(of, trace) | _metadata(options.get("metadata", {}))
    except ValueError as error:
        raise CallFailed("bad_request", str(error), False) from error
    if partition is not None:
        headers["x-replybus-partition"] = partition
    asked = options.get("priority")
    priority = (of.priority if of else 0) or None if asked is None else _PRIORITIES[asked]
    if partition is not None and priority is not None and priority > _PRIORITY_IN_ORDER:
        # Nothing may overtake another call of its key, as what is above does in a quorum queue.
        priority = None
    return Request(
        call_id=new_id(),
        method=method,
        queue=queue,
        content_type=content_type,
        body=body,
        timeout=timeout,
        until=asyncio.get_running_loop().time() + timeout,
        deadline_ms=int((time.time() + timeout) * 1000),
        idempotency_key=key,
        priority=priority,
        headers=headers,
    )


def _inherited(of: context.Context | None, trace: Trace | None) -> dict[str, str]:
    headers = dict(of.metadata) | dict(of.trace) if of else {}
    if trace is not None:
        carried = trace()
        headers |= {name: carried[name] for name in context.TRACE if name in carried}
    return headers


def _metadata(entries: Mapping[str, str]) -> dict[str, str]:
    for name, value in entries.items():
        if not context.is_metadata(name, value):
            raise ValueError(
                f"metadata {name!r}: names have 1 to 64 of a-z, 0-9, '-', '_', '.', are none of the "
                "protocol's and don't begin with x- or dead-letter-; values no control characters"
            )
    return dict(entries)
