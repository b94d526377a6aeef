"""A message as it was delivered, or as an entry of a bundle: not yet trusted."""

from __future__ import annotations

import datetime
import struct
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from . import frames
from .errors import CallFailed
from .link import properties

_ENTRIES_MAX = 64
_TEXTS = (
    "kind",
    "correlation_id",
    "message_id",
    "reply_to",
    "content_type",
    "expiration",
    "app_id",
)


@dataclass
class Message:
    """What a message says."""

    body: bytes
    kind: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    reply_to: str | None = None
    content_type: str | None = None
    expiration: str | None = None
    app_id: str | None = None
    user_id: str | None = None
    priority: int | None = None
    delivery_mode: int | None = None
    timestamp: datetime.datetime | None = None
    headers: dict[str, Any] = field(default_factory=dict)
    redelivered: bool = False
    #: It came in one message with others.
    is_bundled: bool = False
    #: The partition that it came by.
    partition: int | None = None

    @classmethod
    def of(cls, delivered: DeliveredMessage) -> Message:
        """The message of a delivery."""
        said = delivered.header.properties
        delivery = delivered.delivery
        return cls(
            body=bytes(delivered.body),
            kind=said.message_type,
            correlation_id=said.correlation_id,
            message_id=said.message_id,
            reply_to=said.reply_to,
            content_type=said.content_type,
            expiration=said.expiration,
            app_id=said.app_id,
            user_id=said.user_id,
            priority=said.priority,
            delivery_mode=said.delivery_mode,
            timestamp=said.timestamp,
            headers=dict(said.headers or {}),
            redelivered=bool(getattr(delivery, "redelivered", False)),
        )

    def malformed(self) -> str | None:
        """What of it can't be read; `None` of a message that is as it must be."""
        for name in _TEXTS:
            text = getattr(self, name)
            if text is not None and not frames.is_text(text):
                return f"property {name} is no UTF-8"
        if any(not frames.is_text(name) for name in self.headers):
            return "its headers are no UTF-8, or nest too deep"
        return None

    def properties(self, headers: dict[str, Any], **changed: Any) -> Basic.Properties:
        """Its properties with other headers, without its expiration; of texts what can be read."""
        known = {name: getattr(self, name) for name in _TEXTS if name not in ("kind", "expiration")}
        texts = {k: v if v is None or frames.is_text(v) else None for k, v in known.items()}
        kind = self.kind if self.kind is None or frames.is_text(self.kind) else None
        return properties(
            **{
                "message_type": kind,
                **texts,
                "priority": self.priority,
                "timestamp": self.timestamp,
                "headers": {n: v for n, v in headers.items() if frames.is_text(n)},
                **changed,
            }
        )


def unbundled(message: Message) -> list[Message]:
    """The requests in a bundle.

    Raises:
        CallFailed: `bad_request`: it does not come apart into entries.
    """
    found: list[Message] = []
    at, body = 0, message.body
    while at < len(body):
        if len(found) == _ENTRIES_MAX or at + 4 > len(body):
            raise CallFailed("bad_request", "the bundle does not come apart into entries", False)
        (length,) = struct.unpack_from(">I", body, at)
        at += 4
        if at + length > len(body):
            raise CallFailed("bad_request", "the bundle ends within an entry", False)
        found.append(_entry(message, body[at : at + length]))
        at += length
    return found


def _entry(bundle: Message, data: bytes) -> Message:
    whole = replace(bundle, kind=None, message_id=None, is_bundled=True, headers={}, body=data)
    try:
        sooner, flags = struct.unpack_from(">IB", data)
        if len(data) < 21:
            raise ValueError("it is too short")
        whole.correlation_id = str(uuid.UUID(bytes=data[5:21]))
        at = 21
        name, at = _sized(data, at, 1)
        whole.kind = name.decode()
        count, at = data[at], at + 1
        for _ in range(count):
            header, at = _sized(data, at, 1)
            text, at = _sized(data, at, 2)
            whole.headers[header.decode()] = text.decode()
        deadline = int(str(bundle.headers["deadline"])) - sooner
        whole.headers["deadline"] = str(deadline)
        if bundle.expiration is not None:
            whole.expiration = str(max(0, int(bundle.expiration) - sooner))
        if flags & 1:
            whole.headers["repeated"] = True
        whole.body = data[at:]
    except (ValueError, KeyError, IndexError, struct.error):
        # It is a bad request by itself, and named if it has an id.
        whole.correlation_id = whole.correlation_id if len(data) >= 21 else None
        whole.headers[frames.UNREADABLE] = True
    return whole


def _sized(data: bytes, at: int, width: int) -> tuple[bytes, int]:
    if at + width > len(data):
        raise ValueError("it ends within a length")
    length = int.from_bytes(data[at : at + width])
    end = at + width + length
    if end > len(data):
        raise ValueError("it ends within a text")
    return data[at + width : end], end
