"""Calls to one queue that leave in one message."""

from __future__ import annotations

import struct
import time
import uuid
from collections.abc import Iterable
from typing import Any

from .request import Request

#: The type of such a message, and how many calls and bytes are put into one.
TYPE = "replybus/bundle"
_ENTRIES_MAX, _BYTES_MAX, _ENTRY_BYTES_MAX = 16, 64 * 1024, 16 * 1024
#: Seconds without bundles after a service said that it takes none.
_STOPPED_FOR = 60.0


class Bundles:
    """Which queues take bundles, by the last that was heard of them."""

    def __init__(self) -> None:
        self._takes: dict[str, bool] = {}
        self._stopped: dict[str, float] = {}

    def heard(self, queue: str, takes: bool) -> None:
        """Notes what a reply of a handler said."""
        self._takes[queue] = takes
        if not takes:
            self._stopped[queue] = time.monotonic() + _STOPPED_FOR

    def may_be(self, queue: str) -> bool:
        """Whether a bundle may be sent to this queue now."""
        return self._takes.get(queue, False) and self._stopped.get(queue, 0.0) < time.monotonic()

    def divide(self, requests: Iterable[Request]) -> list[list[Request]]:
        """Requests as they are to leave: lists of those that leave together."""
        parts: list[list[Request]] = []
        open_parts: dict[tuple[Any, ...], list[Request]] = {}
        for request in requests:
            size = len(request.body)
            alone = request.priority is not None or "x-replybus-partition" in request.headers
            if alone or size > _ENTRY_BYTES_MAX or not self.may_be(request.queue):
                parts.append([request])
                continue
            like = (request.queue, request.method.is_command, request.content_type)
            part = open_parts.get(like)
            if (
                part is None
                or len(part) == _ENTRIES_MAX
                or sum(len(one.body) for one in part) + size > _BYTES_MAX
                or request.timeout > 2 * part[0].timeout
            ):
                part = open_parts[like] = []
                parts.append(part)
            part.append(request)
        return parts


def entry(request: Request, *, sooner_ms: int) -> bytes:
    """One request in a bundle."""
    headers = [
        (name.encode(), str(text).encode()) for name, text in request.entry_headers().items()
    ]
    name = request.method.name.encode()
    parts = [
        struct.pack(">IB", sooner_ms, int(request.is_repeated)),
        uuid.UUID(request.call_id).bytes,
        struct.pack("B", len(name)) + name,
        struct.pack("B", len(headers)),
        *(struct.pack("B", len(n)) + n + struct.pack(">H", len(v)) + v for n, v in headers),
        request.body,
    ]
    data = b"".join(parts)
    return struct.pack(">I", len(data)) + data
