"""The partitions of a service: each is consumed for as long as it is served, and handed over when
another instance is to have it.

The broker says who has a partition: it sends its messages to the consumer that has been there for
longest. All instances consume all partitions, so that whoever dies is followed at once. Redis only says
who is to have it: whoever has one that another should have begins nothing more of it, ends what runs,
and consumes it anew, behind all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from .inbox import FAILURES as STORE_FAILURES
from .link import FAILURES
from .message import Message
from .names import is_id
from .partition_line import Intake, Line
from .pauses import Pauses

if TYPE_CHECKING:
    from .serving import Serving

log = logging.getLogger(__name__)

#: Messages that are held of each partition.
_PREFETCH = 32
#: Seconds between two looks for the members, and between two hand-overs: the longest if the other
#: does not take the partition.
_MEMBERS_EVERY, _HAND_OVER_EVERY, _HAND_OVER_MAX = 2.0, 5.0, 60.0
_AGAIN_MIN, _AGAIN_MAX, _STEADY_AFTER = 0.05, 2.0, 5.0
#: Seconds between two looks whether a consumer is still there.
_LOOK_EVERY = 1.0
_DRAIN_WITHIN = 30.0


class Members:
    """The instances that share the partitions of a service, as Redis knows them. None of them are
    known where it can't be asked: then everybody keeps what it has.
    """

    def __init__(self, serving: Serving, partitions: int) -> None:
        self._serving, self._partitions = serving, partitions
        self._known: list[uuid.UUID] = []

    def preferred(self, partition: int) -> uuid.UUID | None:
        """The one that is to have a partition."""
        return max(self._known, key=lambda one: (weight(one, partition), one.bytes), default=None)

    async def watch(self) -> None:
        """Looks for them for as long as it is not cancelled."""
        while True:
            try:
                self._known = await self._present()
            except STORE_FAILURES:
                self._known = []
            await asyncio.sleep(_MEMBERS_EVERY)

    async def _present(self) -> list[uuid.UUID]:
        bus = self._serving.bus
        until, records = bus.names.instances(self._serving.service.queue)
        seconds, micros = await bus.redis.time()
        now = int(seconds) * 1000 + int(micros) // 1000
        ids: list[Any] = await bus.redis.zrangebyscore(until, f"({now}", "+inf")
        if not ids:
            return []
        reading: Any = bus.redis.hmget(records, ids)
        found = [self._member(record) for record in await reading]
        return [member for member in found if member is not None]

    def _member(self, record: bytes | None) -> uuid.UUID | None:
        """Who shares the partitions by this record, which anybody may have written."""
        try:
            said = json.loads(record or b"")
        except ValueError:
            return None
        if not isinstance(said, dict) or said.get("draining") is True:
            return None
        instance = said.get("id")
        shares = said.get("partitions") == self._partitions and is_id(instance)
        return uuid.UUID(instance) if shares else None


def weight(member: uuid.UUID, partition: int) -> int:
    """Of all pairs of a partition and a member the one of the highest weight is to have it."""
    digest = hashlib.sha256(member.bytes + partition.to_bytes(2)).digest()
    return int.from_bytes(digest[:8])


class _End(Enum):
    """Why a consumer has ended."""

    STOPPED = 0
    HANDED_OVER = 1
    #: A delivery was given back: it has to come again before those behind it.
    GIVEN_BACK = 2
    #: Its channel is gone, and the broker has all that was not settled.
    LOST = 3


class Partition:
    """One partition of a service that is served here."""

    def __init__(
        self,
        serving: Serving,
        number: int,
        members: Members,
        declare: Callable[[AbstractChannel, str], Awaitable[None]],
    ) -> None:
        self._serving, self.number, self._members = serving, number, members
        self._declare = declare
        self._me = uuid.UUID(serving.instance)
        self._queue = serving.names.full(f"{serving.service.queue}.{number}")
        self._line = Line(number)
        #: It has been consumed since it is served.
        self.ready = asyncio.Event()
        self._is_active = False
        #: Who was to have it when it was last consumed anew: no longer behind this instance.
        self._behind: uuid.UUID | None = None
        #: When it may be handed over again, by the loop's clock, and the pause before that.
        self._not_before, self._pause = 0.0, _HAND_OVER_EVERY

    @property
    def running(self) -> int:
        """Deliveries of it that are worked on."""
        return self._line.running

    async def run(self) -> None:
        """Has the partition until the service stops."""
        loop = asyncio.get_running_loop()
        pauses, stopping = Pauses(_AGAIN_MIN, _AGAIN_MAX), self._serving.stopping
        while True:
            since = loop.time()
            try:
                end = await self._have()
            except Exception as error:
                log.warning("consuming %s again: %s", self._queue, error)
                end = _End.LOST
            if end is _End.STOPPED or stopping.is_set():
                return
            if loop.time() - since > _STEADY_AFTER:
                pauses.reset()
            preferred = self._members.preferred(self.number)
            if end is _End.HANDED_OVER:
                # Whoever was to have it before and did not take it can't.
                is_same = self._behind == preferred
                self._pause = min(self._pause * 2, _HAND_OVER_MAX) if is_same else _HAND_OVER_EVERY
                self._not_before = loop.time() + self._pause
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pauses.next()):
                        await stopping.wait()
            self._behind = preferred

    async def _have(self) -> _End:
        """Consumes it, until that ends or is to end, and nothing of it runs any more."""
        connection = await self._unless_stopped(self._serving.bus.link.connection())
        if connection is None:
            return _End.STOPPED
        channel = await connection.channel(publisher_confirms=False)
        line = self._line = Line(self.number)
        self._is_active = False
        intake = Intake[DeliveredMessage](lambda delivered: self._take(line, channel, delivered))
        try:
            await self._declare(channel, self._queue)
            await channel.basic_qos(prefetch_count=_PREFETCH)
            consuming = await channel.basic_consume(self._queue, intake.deliver)
            await self._serving.learn_what_was_given_up()
            intake.open()
            self.ready.set()
            return await self._until_over(line, channel, consuming.consumer_tag or "")
        finally:
            line.end()
            # Not cancelled before: what is behind one that is not settled would come first.
            with contextlib.suppress(*FAILURES):
                await channel.close()

    async def _unless_stopped(self, connecting: Awaitable[Any]) -> Any:
        connected = asyncio.ensure_future(connecting)
        stopped = asyncio.ensure_future(self._serving.stopping.wait())
        try:
            await asyncio.wait({connected, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return connected.result() if connected.done() else None
        finally:
            connected.cancel()
            stopped.cancel()

    async def _until_over(self, line: Line, channel: Any, tag: str) -> _End:
        loop = asyncio.get_running_loop()
        end: _End | None = None
        ended_at = 0.0
        while True:
            line.changed.clear()
            if channel.is_closed or tag not in channel.consumers:
                return _End.LOST
            now = loop.time()
            if end is None:
                end = self._over(line, now)
                ended_at = now
            if end is not None:
                line.end()
                line.changed.clear()
                if line.is_idle:
                    return end
                if now - ended_at > _DRAIN_WITHIN:
                    await line.abort()
                    return end
            waits = [line.changed.wait(), asyncio.shield(channel.closing)]
            if end is None:
                waits.append(self._serving.stopping.wait())
            await _first(waits, _LOOK_EVERY)

    def _over(self, line: Line, now: float) -> _End | None:
        """Why it is to end now."""
        if self._serving.stopping.is_set():
            return _End.STOPPED
        if self._is_for_another() and self._not_before <= now:
            return _End.HANDED_OVER
        return _End.GIVEN_BACK if line.is_ending else None

    def _is_for_another(self) -> bool:
        """True if another is to have it, and can't while this one is before it: one that has messages
        is, and one that was there before may be.
        """
        preferred = self._members.preferred(self.number)
        is_other = preferred is not None and preferred != self._me
        return is_other and (self._is_active or self._behind != preferred)

    def _take(self, line: Line, channel: AbstractChannel, delivered: DeliveredMessage) -> None:
        self._is_active = True
        if self._over(line, asyncio.get_running_loop().time()) is not None:
            # Before it is begun.
            line.end()
        message = Message.of(delivered)
        message.partition = self.number
        tag = delivered.delivery_tag or 0

        async def work(message: Message) -> bool:
            if not await self._serving.taken(message):
                return False
            try:
                await channel.basic_ack(tag)
            except FAILURES:
                # It is delivered again, and known by its claim.
                return False
            return True

        line.add(message, work)


async def _first(waits: list[Awaitable[Any]], within: float) -> None:
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
