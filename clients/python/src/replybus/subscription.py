"""A group's part in events: each is handled once by one of its members."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from . import context, envelope, runs
from .claims import ATTEMPTS_MAX, Claim, Claims, Done, Refused
from .codec import MSGPACK, decode
from .dead_letters import Cause, DeadLetters
from .deliveries import until_done
from .envelope import Envelope
from .link import FAILURES
from .message import Message
from .names import new_id
from .pauses import Pauses
from .redeliveries import Redelivery
from .replies import value
from .tasks import ended, is_end

if TYPE_CHECKING:
    from .bus import Bus

log = logging.getLogger(__name__)

EventHandler = Callable[[Any], Awaitable[None]]

_PREFETCH_FACTOR = 2
#: Seconds for which an event is handed to its handler again that refuses it.
_REFUSED_FOR = 60.0
_EVENT_ID_BYTES = 64
_DRAIN_WITHIN = 30.0


class Subscription:
    """A group that takes one kind of event until it is shut down; made by `Bus.subscribe`.

    An event that its handler raises at is handed to it again for a minute, and then kept as a dead
    letter. The handler runs within a context, as those of calls do.
    """

    def __init__(
        self,
        bus: Bus,
        group: str,
        event: str,
        handler: EventHandler,
        exchange: str,
        concurrency: int,
    ) -> None:
        self._bus, self._group, self._event, self._handler = bus, group, event, handler
        self._queue, self._exchange = bus.names.full(group), bus.names.full(exchange)
        self._letters = DeadLetters(bus.link, bus.names, group)
        self._claims = Claims(bus.scripts, bus.names)
        self._places = asyncio.Semaphore(concurrency)
        self._prefetch = concurrency * _PREFETCH_FACTOR
        self._stopping = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        bus: Bus,
        group: str,
        event: str,
        handler: EventHandler,
        exchange: str,
        concurrency: int,
    ) -> Subscription:
        """Subscribes, and returns once events are taken."""
        subscription = cls(bus, group, event, handler, exchange, concurrency)
        ready = asyncio.Event()
        taking = bus.link.consume(
            subscription._queue,
            subscription._prefetch,
            subscription._declare,
            subscription._take,
            ready=ready,
            end=subscription._drain,
        )
        subscription._task = asyncio.create_task(taking)
        try:
            await ready.wait()
        except BaseException:
            # Nobody has what could be shut down.
            await subscription.shutdown()
            raise
        return subscription

    async def shutdown(self) -> None:
        """Takes no more, and ends what runs. The group stays, and events wait for its next member."""
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _declare(self, channel: AbstractChannel) -> None:
        await channel.queue_declare(
            self._queue, durable=True, arguments={"x-queue-type": "classic"}
        )
        await channel.queue_declare(
            self._letters.queue, durable=True, arguments=self._letters.arguments("classic")
        )
        await channel.exchange_declare(self._exchange, exchange_type="topic", durable=True)
        await channel.queue_bind(self._queue, self._exchange, self._event)

    async def _take(self, channel: AbstractChannel, delivered: DeliveredMessage) -> None:
        task = asyncio.create_task(self._process(channel, delivered))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _process(self, channel: AbstractChannel, delivered: DeliveredMessage) -> None:
        message = Message.of(delivered)
        routing_key = getattr(delivered.delivery, "routing_key", None)
        try:
            async with self._places:
                is_over = not self._stopping.is_set() and await self._handled(message, routing_key)
        except Exception:
            log.exception("an event is given back")
            await asyncio.sleep(1.0)
            is_over = False
        tag = delivered.delivery_tag or 0
        try:
            if is_over:
                await channel.basic_ack(tag)
            else:
                await channel.basic_nack(tag, requeue=True)
        except FAILURES:
            log.info("an event could not be acknowledged")

    async def _handled(self, message: Message, routing_key: str | None) -> bool:
        """Takes an event to its end; false if it is to be delivered again."""
        read = envelope.read(message, self._bus.names)
        if self._event not in (message.kind, routing_key):
            await self._refuse(message, "unknown_method", f"the group takes {self._event}", False)
            return True
        try:
            if reason := message.malformed():
                raise ValueError(reason)
            event = decode(read.content_type, message.body)
        except ValueError as error:
            await self._refuse(message, "bad_request", str(error), False)
            return True
        named = message.message_id or ""
        if 0 < len(named.encode()) <= _EVENT_ID_BYTES:
            return await self._claimed(named, read, event, 1)
        if not message.redelivered:
            return await self._claimed(new_id(), read, event, 1)
        return await self._again(read, event)

    async def _again(self, read: Envelope, event: Any) -> bool:
        """A further delivery of an event that no claim of an earlier one knows."""
        until = asyncio.get_running_loop().time() + runs.LONGEST
        counted = Redelivery(self._claims, f"event:{self._group}", None, read.message)
        try:
            attempt = await counted.begin(until, self._stopping.is_set)
        except Refused as refused:
            failed = refused.failed
            if failed.code != "interrupted":
                return False
            await self._refuse(read.message, failed.code, failed.message, True)
            return True
        try:
            return await self._claimed(new_id(), read, event, attempt)
        finally:
            await counted.end()

    async def _claimed(self, known: str, read: Envelope, event: Any, attempt: int) -> bool:
        message, claim = read.message, Claim(f"event:{self._group}:{known}")
        until = asyncio.get_running_loop().time() + runs.LONGEST
        try:
            taken = await self._claims.take(claim, until, self._stopping.is_set)
        except Refused:
            return False
        if isinstance(taken, Done):
            return True
        if taken.attempt > ATTEMPTS_MAX:
            text = f"it was started {ATTEMPTS_MAX} times, and never ended"
            await self._refuse(message, "interrupted", text, True, taken.attempt - 1)
            return True
        return await self._run(claim, read, event, max(attempt, taken.attempt))

    async def _run(self, claim: Claim, read: Envelope, event: Any, attempt: int) -> bool:
        of = read.context(attempt)
        keeping = asyncio.create_task(self._claims.keep(claim, of.cancelled.set))
        until, pauses = time.monotonic() + _REFUSED_FOR, Pauses(0.05, 5.0)
        try:
            while True:
                try:
                    with context.entered(of):
                        await self._handler(event)
                    break
                except (Exception, asyncio.CancelledError) as failed:
                    if is_end(failed):
                        raise
                    log.exception("%s: the handler failed", self._event)
                if self._stopping.is_set():
                    await self._claims.release(claim)
                    return False
                if time.monotonic() > until:
                    text = "its handler refused it as often as it was run"
                    await self._refuse(read.message, "failed", text, True, attempt)
                    await self._claims.release(claim)
                    return True
                await asyncio.sleep(pauses.next())

            async def finish() -> None:
                done = value(MSGPACK, None)
                await self._claims.finish(claim, done, read.call_id, None, "none")

            return await until_done(finish, runs.LONGEST)
        finally:
            await ended(keeping)

    async def _refuse(
        self, message: Message, code: str, text: str, executed: bool, attempts: int | None = None
    ) -> None:
        log.warning("an event of %s is a dead letter: %s", self._event, text)
        await self._letters.keep(message, Cause(code, text, executed, attempts=attempts))

    async def _drain(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=_DRAIN_WITHIN)
        await ended(*self._running)
