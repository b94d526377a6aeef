"""A service while it is served."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from typing import TYPE_CHECKING, Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from .claims import REPLY_TTL_MS, Claims
from .control import ControlLine
from .dead_letters import RETURNS_MAX, DeadLetters
from .deliveries import Deliveries
from .envelope import Envelope
from .errors import CallFailed
from .feeds import Fed
from .held import Held
from .inbox import INBOX_ENTRIES
from .jobs import RunningJobs
from .link import FAILURES
from .message import Message
from .names import new_id
from .outcome import GivenBack
from .partitions import Members, Partition
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
#: Seconds that jobs have to end that are told to.
_TOLD_WITHIN = 1.0
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
        #: Fired when the time of its handlers to end is up, and deliveries are given back.
        self.leaving = asyncio.Event()
        self.jobs = RunningJobs()
        self.jobs_running: set[asyncio.Task[None]] = set()
        self._drain_within = _DRAIN_WITHIN
        self.fed: set[Fed] = set()
        self.producers: dict[tuple[str, int], Producer] = {}
        self._numbers = itertools.count(random.getrandbits(31))
        self._deliveries = Deliveries(self)
        self._control = ControlLine(self)
        self._running: set[asyncio.Task[None]] = set()
        self._partitions: list[Partition] = []
        #: Those that take messages, and those beside.
        self._takes: list[asyncio.Task[None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, bus: Bus, service: Service) -> Serving:
        """Serves it, and returns once it takes messages."""
        serving = cls(bus, service)
        try:
            if service.partitions is None:
                await serving._start_whole()
            else:
                await serving._start_partitions(service.partitions)
        except BaseException:
            await serving._leave()
            raise
        return serving

    async def _start_whole(self) -> None:
        consumed = asyncio.Event()
        self._hear()
        taking = self.bus.link.consume(
            self.names.full(self.service.queue),
            _PREFETCH,
            self._declare,
            self._take,
            ready=consumed,
            begin=self.learn_what_was_given_up,
            end=self._drain,
        )
        self._takes = [asyncio.create_task(taking)]
        await consumed.wait()
        self._tasks.append(asyncio.create_task(self._control.announce()))

    async def _leave(self) -> None:
        """Ends a start that came to nothing: nobody has what could be shut down."""
        self._drain_within = 0.0
        self.stopping.set()
        await ended(*self._takes, *self._tasks)
        await self._control.withdraw()

    async def _start_partitions(self, count: int) -> None:
        await self._refuse_whole()
        members = Members(self, count)
        declared = False

        async def declare(channel: AbstractChannel, queue: str) -> None:
            nonlocal declared
            arguments = self._arguments() | {"x-single-active-consumer": True}
            await channel.queue_declare(queue, durable=True, arguments=arguments)
            if not declared:
                await self._declare_letters(channel)
                declared = True

        self._partitions = [Partition(self, number, members, declare) for number in range(count)]
        self._hear()
        self._takes = [asyncio.create_task(one.run()) for one in self._partitions]
        await asyncio.gather(*(one.ready.wait() for one in self._partitions))
        announcing, watching = self._control.announce(), members.watch()
        self._tasks += map(asyncio.create_task, (announcing, watching))

    async def _refuse_whole(self) -> None:
        """What is in a queue that was served as a whole would have no order with the partitions.

        Raises:
            ValueError: there is such a queue.
        """
        queue = self.names.full(self.service.queue)
        if await self.bus.link.is_queue(queue):
            raise ValueError(
                f"queue {queue!r} exists, and the service has partitions: what comes to it would be "
                "out of order. Give it another queue, or delete this one when it is empty"
            )

    def _hear(self) -> None:
        control, heard = self._control, asyncio.Event()
        hearing = self.bus.link.consume(
            self.control_queue, _CONTROL_PREFETCH, control.declare, control.take, ready=heard
        )
        self._tasks.append(asyncio.create_task(hearing))

    async def shutdown(self, within: float = _DRAIN_WITHIN) -> None:
        """Takes no more, ends what runs, and gives back what was not begun.

        After `within` seconds what still runs is given back. A job is told then, as one that is
        cancelled: if it raises `RetryLater` another worker begins it anew; otherwise it goes on for
        as long as the program does, and what it comes to is recorded.
        """
        self._drain_within = within
        self.stopping.set()
        others = self._tasks
        if not self._partitions:
            for taking in self._takes:
                taking.cancel()
        await asyncio.wait(self._takes)
        failed = CallFailed("interrupted", "the service stops", True)
        await asyncio.gather(*(one.stop(failed) for one in list(self.producers.values())))
        await ended(*others)
        await self._control.withdraw()

    def in_flight(self) -> int:
        """Deliveries that it works on."""
        handed_back = self.jobs.handed_back()
        return len(self._running) + handed_back + sum(one.running for one in self._partitions)

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

    def _arguments(self) -> dict[str, Any]:
        kind = self.service.queue_type
        returns = {"x-delivery-limit": RETURNS_MAX} if kind == "quorum" else {}
        return {"x-queue-type": kind} | returns

    async def _declare(self, channel: AbstractChannel) -> None:
        queue = self.names.full(self.service.queue)
        await channel.queue_declare(queue, durable=True, arguments=self._arguments())
        await self._declare_letters(channel)

    async def _declare_letters(self, channel: AbstractChannel) -> None:
        letters = self.dead_letters
        arguments = letters.arguments(self.service.queue_type)
        await channel.queue_declare(letters.queue, durable=True, arguments=arguments)

    async def learn_what_was_given_up(self) -> None:
        """Callers were told that nobody will run these: they saw that nobody consumed the queue."""
        key = self.names.given_up(self.service.queue)
        found = await self.bus.scripts.given_up([key], [_GIVEN_UP_MAX])
        for call_id, left in found:
            self.held.cancel(call_id.decode(errors="replace"), int(left) / 1000)

    async def be_surely_seen(self) -> None:
        """Has others see this instance, if they may have missed it; what was given up is known then."""
        await self._control.be_surely_seen()

    async def _take(self, channel: AbstractChannel, delivered: DeliveredMessage) -> None:
        # A task of its own: the channel's end would cancel those that it began.
        task = asyncio.create_task(self._process(channel, delivered))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _process(self, channel: AbstractChannel, delivered: DeliveredMessage) -> None:
        tag = delivered.delivery_tag or 0
        is_done = await self.taken(Message.of(delivered))
        try:
            if is_done:
                await channel.basic_ack(tag)
            else:
                await channel.basic_nack(tag, requeue=True)
        except FAILURES:
            # It is delivered again, and known by its claim.
            log.info("a message could not be acknowledged")

    async def taken(self, message: Message) -> bool:
        """Takes a message to its end; false if it is to be given back."""
        try:
            await self._control.be_seen()
            await self._deliveries.take(message)
        except GivenBack:
            return False
        except Exception:
            log.exception("a message is given back")
            # Not at once: it would come again as soon.
            await asyncio.sleep(1.0)
            return False
        return True

    async def _drain(self) -> None:
        working: set[asyncio.Task[None]] = self._running | self.jobs_running
        if working:
            await asyncio.wait(working, timeout=self._drain_within)
        self.leaving.set()
        self.jobs.tell_all()
        if self.jobs_running:
            await asyncio.wait(self.jobs_running, timeout=_TOLD_WITHIN)
        await ended(*self._running)
