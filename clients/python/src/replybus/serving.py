"""A service while it is served."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from typing import TYPE_CHECKING, Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from .claims import INBOX_ENTRIES, REPLY_TTL_MS, Claims
from .control import ControlLine
from .dead_letters import RETURNS_MAX, DeadLetters
from .deliveries import Deliveries, GivenBack
from .envelope import Envelope
from .held import Held
from .link import FAILURES
from .message import Message
from .names import new_id
from .producer import Producer
from .service import Service
from .tasks import ended

if TYPE_CHECKING:
    from .bus import Bus

log = logging.getLogger(__name__)

#: Handlers that run at once, messages that are held, and those of the control line.
_CONCURRENCY, _PREFETCH, _CONTROL_PREFETCH = 32, 128, 64
#: Seconds that handlers have to end.
_DRAIN_WITHIN = 30.0
_GIVEN_UP_MAX = 20_000


class Serving:
    """A service that is served until it is shut down; made by `Bus.serve`."""

    def __init__(self, bus: Bus, service: Service) -> None:
        self.bus, self.service, self.names = bus, service, bus.names
        self.instance = new_id()
        self.control_queue = f"{bus.names.control}.{self.instance}"
        self.claims = Claims(bus.scripts, bus.names)
        self.held = Held()
        self.dead_letters = DeadLetters(bus.link, bus.names, service.queue)
        self.places = asyncio.Semaphore(_CONCURRENCY)
        self.stopping = asyncio.Event()
        self.producers: dict[tuple[str, int], Producer] = {}
        self._numbers = itertools.count(random.getrandbits(31))
        self._deliveries = Deliveries(self)
        self._control = ControlLine(self)
        self._running: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, bus: Bus, service: Service) -> Serving:
        """Serves it, and returns once it takes messages."""
        serving = cls(bus, service)
        consumed, heard = asyncio.Event(), asyncio.Event()
        control, link = serving._control, bus.link
        hearing = link.consume(
            serving.control_queue, _CONTROL_PREFETCH, control.declare, control.take, ready=heard
        )
        taking = link.consume(
            bus.names.full(service.queue),
            _PREFETCH,
            serving._declare,
            serving._take,
            ready=consumed,
            begin=serving._learn_what_was_given_up,
            end=serving._drain,
        )
        serving._tasks = [asyncio.create_task(taking), asyncio.create_task(hearing)]
        await consumed.wait()
        serving._tasks.append(asyncio.create_task(control.announce()))
        return serving

    async def shutdown(self) -> None:
        """Takes no more, ends what runs, and gives back what was not begun."""
        self.stopping.set()
        taking, *others = self._tasks
        taking.cancel()
        await asyncio.wait([taking])
        await asyncio.gather(*(producer.stop() for producer in list(self.producers.values())))
        await ended(*others)
        await self._control.withdraw()

    def in_flight(self) -> int:
        """Deliveries that it works on."""
        return len(self._running)

    def next_producer(self) -> int:
        """A number that no other stream of this instance has."""
        return next(self._numbers) & 0xFFFF_FFFF

    async def reply(self, read: Envelope, frame: bytes) -> None:
        """Stores a reply that ends no claim: in the inbox, or else under the call's own key.

        Raises:
            redis.exceptions.RedisError: it may not be stored.
        """
        redis = self.bus.redis
        if read.inbox is not None and await redis.xadd(
            read.inbox,
            {"id": read.call_id, "frame": frame},
            maxlen=INBOX_ENTRIES,
            approximate=True,
            nomkstream=True,
        ):
            return
        await redis.set(self.names.response(read.call_id), frame, nx=True, px=REPLY_TTL_MS)

    async def _declare(self, channel: AbstractChannel) -> None:
        kind = self.service.queue_type
        arguments: dict[str, Any] = {"x-queue-type": kind}
        if kind == "quorum":
            arguments["x-delivery-limit"] = RETURNS_MAX
        queue = self.names.full(self.service.queue)
        await channel.queue_declare(queue, durable=True, arguments=arguments)
        letters = self.dead_letters
        await channel.queue_declare(letters.queue, durable=True, arguments=letters.arguments(kind))

    async def _learn_what_was_given_up(self) -> None:
        """Callers were told that nobody will run these: they saw that nobody consumed the queue."""
        key = self.names.given_up(self.service.queue)
        found = await self.bus.scripts.given_up([key], [_GIVEN_UP_MAX])
        for call_id, left in found:
            self.held.cancel(call_id.decode(errors="replace"), int(left) / 1000)

    async def _take(self, channel: AbstractChannel, delivered: DeliveredMessage) -> None:
        # A task of its own: the channel's end would cancel those that it began.
        task = asyncio.create_task(self._process(channel, delivered))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _process(self, channel: AbstractChannel, delivered: DeliveredMessage) -> None:
        tag = delivered.delivery_tag or 0
        try:
            await self._deliveries.take(Message.of(delivered))
        except GivenBack:
            given_back = True
        except Exception:
            log.exception("a message is given back")
            # Not at once: it would come again as soon.
            await asyncio.sleep(1.0)
            given_back = True
        else:
            given_back = False
        try:
            if given_back:
                await channel.basic_nack(tag, requeue=True)
            else:
                await channel.basic_ack(tag)
        except FAILURES:
            # It is delivered again, and known by its claim.
            log.info("a message could not be acknowledged")

    async def _drain(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=_DRAIN_WITHIN)
        await ended(*self._running)
