"""The stream in Redis that the replies to one process come to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from . import replies
from .names import Names, new_id
from .pauses import Pauses
from .tasks import ended

log = logging.getLogger(__name__)

#: As long as a call may wait: the replies to one that is cut off are there when it is back.
_TTL_MS = 20 * 60_000
#: How many entries an inbox has.
INBOX_ENTRIES = 65_536
_BLOCK_MS = 2_000
_READ_AT_ONCE = 128
#: Seconds between two times that its end is put off.
_KEPT_EVERY = 5.0
FAILURES = (RedisError, OSError, asyncio.TimeoutError)

Waiter = Callable[[bytes], None]


class Inbox:
    """One process's inbox, and who waits for what comes to it."""

    def __init__(self, redis: Redis, names: Names) -> None:
        self._redis, self._names = redis, names
        self.name = names.inbox(new_id())
        #: False while what comes to it can't be read.
        self.is_read = True
        self._last = "0-0"
        self._waiters: dict[str, Waiter] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Makes the stream, and reads it from now on.

        Raises:
            redis.exceptions.RedisError: Redis can't be reached.
        """
        await self._make()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep())]

    async def close(self) -> None:
        """Stops reading, and deletes the stream."""
        await ended(*self._tasks)
        with contextlib.suppress(*FAILURES):
            await self._redis.delete(self.name)

    @contextlib.contextmanager
    def waiting(self, call_id: str, waiter: Waiter) -> Iterator[None]:
        """Hands frames for this id to `waiter` meanwhile."""
        self._waiters[call_id] = waiter
        try:
            yield
        finally:
            self._waiters.pop(call_id, None)

    async def stored(self, call_id: str) -> bytes | None:
        """The reply that lies under the call's own key, where it goes without an inbox."""
        with contextlib.suppress(*FAILURES):
            frame = await self._redis.get(self._names.response(call_id))
            return as_bytes(frame)
        return None

    async def _make(self) -> None:
        making: Any = self._redis.pipeline(transaction=True)
        await making.xadd(self.name, {"mark": "1"}).pexpire(self.name, _TTL_MS).execute()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_KEPT_EVERY)
            try:
                await self._keep_once()
            except FAILURES as error:
                log.warning("the inbox was not kept up: %s", type(error).__name__)

    async def _keep_once(self) -> None:
        if not await self._redis.pexpire(self.name, _TTL_MS):
            self._last = "0-0"
            await self._make()
            # What came while there was none lies under the calls' own keys.
            for call_id in list(self._waiters):
                if frame := await self.stored(call_id):
                    self._hand(call_id, frame)
            return
        about: Any = await self._redis.xinfo_stream(self.name)
        newest = about.get("last-generated-id", about.get(b"last-generated-id", b""))
        if _order(newest) < _order(self._last):
            # Another server took over, which has not got all of it.
            self._last = "0-0"
        await self._redis.xtrim(self.name, minid=self._last)

    async def _read(self) -> None:
        pauses = Pauses(0.05, 2.0)
        while True:
            try:
                read = await self._redis.xread(
                    {self.name: self._last}, count=_READ_AT_ONCE, block=_BLOCK_MS
                )
                pauses.reset()
                self.is_read = True
            except FAILURES as error:
                self.is_read = False
                log.warning("the inbox can't be read: %s", type(error).__name__)
                await asyncio.sleep(pauses.next())
                continue
            for entry, fields in _entries(read):
                self._last = entry
                self._take(fields)

    def _take(self, fields: dict[bytes, bytes]) -> None:
        if b"group" in fields:
            for call_id, frame in replies.group(fields[b"group"]):
                self._hand(call_id, frame)
        elif b"id" in fields and b"frame" in fields:
            self._hand(fields[b"id"].decode(errors="replace"), fields[b"frame"])

    def _hand(self, call_id: str, frame: bytes) -> None:
        if waiter := self._waiters.get(call_id):
            waiter(frame)


async def append(redis: Redis, inbox: str, name: str, frame: bytes) -> None:
    """Adds a frame of a stream to an inbox, if that is there: what is lost is asked for again."""
    with contextlib.suppress(*FAILURES):
        await redis.xadd(
            inbox,
            {"id": name, "frame": frame},
            maxlen=INBOX_ENTRIES,
            approximate=True,
            nomkstream=True,
        )


def as_bytes(value: Any) -> bytes | None:
    """What a key holds; the client's own types say that it may be text."""
    return None if value is None else bytes(value)


def _entries(read: Any) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    """The entries of one stream, in each form that versions of the client give them."""
    streams = read.values() if isinstance(read, dict) else [entries for _, entries in read or []]
    for entries in streams:
        for entry in entries:
            several = entry if isinstance(entry, list) else [entry]
            for entry_id, fields in several:
                if fields:
                    yield entry_id.decode(), fields


def _order(entry: str | bytes) -> tuple[int, int]:
    text = entry.decode() if isinstance(entry, bytes) else entry
    millis, _, number = text.partition("-")
    return int(millis or 0), int(number or 0)
