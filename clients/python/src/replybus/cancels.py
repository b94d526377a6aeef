"""Calls that nobody waits for any more, said to those who serve their queue."""

from __future__ import annotations

import asyncio
import logging
import struct
import uuid

from .link import FAILURES, Link, properties
from .names import Names

log = logging.getLogger(__name__)

_WAITING_MAX = 10_000
_IN_ONE_MAX = 1_000
ENTRY = struct.Struct(">16sI")
_MS_MAX = 0xFFFF_FFFF


class Cancels:
    """The cancels of one process, by queue. They may be lost: a lost one costs work, and no more."""

    def __init__(self, link: Link, names: Names) -> None:
        self._link, self._names = link, names
        self._waiting: dict[str, list[bytes]] = {}
        self._telling: asyncio.Task[None] | None = None

    def tell(self, queue: str, call_id: str, left: float) -> None:
        """Has a call cancelled that has `left` seconds of its time; the queue is without the
        namespace."""
        waiting = self._waiting.setdefault(queue, [])
        if len(waiting) < _WAITING_MAX:
            millis = min(_MS_MAX, max(1, int(left * 1000)))
            waiting.append(ENTRY.pack(uuid.UUID(call_id).bytes, millis))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def close(self) -> None:
        """Says those that wait, if that takes no longer than a second."""
        if self._telling is not None:
            await asyncio.wait([self._telling], timeout=1.0)
            self._telling.cancel()

    async def _tell(self) -> None:
        while self._waiting:
            queue, entries = self._waiting.popitem()
            for at in range(0, len(entries), _IN_ONE_MAX):
                body = b"".join(entries[at : at + _IN_ONE_MAX])
                try:
                    async with asyncio.timeout(5.0):
                        await self._link.tell(
                            self._names.control,
                            self._names.full(queue),
                            body,
                            properties(message_type="cancel", delivery_mode=1),
                        )
                except FAILURES as error:
                    log.warning("calls were not cancelled: %s", type(error).__name__)
