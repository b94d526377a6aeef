"""The control line of a worker: what is said to it beside the queue that it serves."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiormq.abc import AbstractChannel, DeliveredMessage

from . import envelope, replies, stream_frames
from .cancels import ENTRY
from .inbox import FAILURES
from .message import Message

if TYPE_CHECKING:
    from .serving import Serving

_CANCELS_MAX, _QUESTION_BYTES_MAX = 1_000, 1_024
_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "classic",
    "x-expires": 60_000,
    "x-max-length": 10_000,
    "x-overflow": "reject-publish",
}
#: Seconds between two announcements of an instance, and milliseconds that one counts for.
_ANNOUNCED_EVERY, _ANNOUNCED_FOR_MS = 1.75, 6_000
#: Seconds that a delivery waits until others see the instance.
_SEEN_WITHIN = 1.0
_SERVED_FOR = 24 * 60 * 60


class ControlLine:
    """What one instance hears, and says of itself."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._started_ms = int(time.time() * 1000)
        #: Until when others surely see its record, and from when on that is tried again.
        self._sure_until = self._again_at = 0.0
        self._announcing = asyncio.Lock()

    async def declare(self, channel: AbstractChannel) -> None:
        """Has its queue be there, bound to what is said to all who serve the same."""
        names, queue = self._serving.names, self._serving.control_queue
        await channel.queue_declare(queue, durable=True, arguments=dict(_ARGUMENTS))
        await channel.exchange_declare(names.control, exchange_type="topic", durable=True)
        await channel.queue_bind(queue, names.control, names.full(self._serving.service.queue))

    async def take(self, channel: AbstractChannel, delivered: DeliveredMessage) -> None:
        """Takes one message; what it does not know it passes over."""
        message = Message.of(delivered)
        match message.kind:
            case "cancel":
                self._cancel(message.body)
            case "stream":
                for credit in stream_frames.read_credits(message.body):
                    producer = self._serving.producers.get((credit.call_id, credit.producer))
                    if producer is not None:
                        await producer.heard(credit)
            case "ping":
                await self._answer(message, {"instance": self._serving.instance})
            case "jobs":
                instance = {"instance": self._serving.instance}
                await self._answer(message, instance | self._serving.jobs.told())
            case "info":
                await self._answer(message, self.record())
        await channel.basic_ack(delivered.delivery_tag or 0)

    def _cancel(self, body: bytes) -> None:
        if len(body) % ENTRY.size or len(body) > _CANCELS_MAX * ENTRY.size:
            return
        for call_id, millis in ENTRY.iter_unpack(body):
            self._serving.held.cancel(str(uuid.UUID(bytes=call_id)), millis / 1000)

    async def _answer(self, question: Message, body: dict[str, Any]) -> None:
        read = envelope.read(question, self._serving.names)
        if read.fault is None and read.is_awaited and len(question.body) <= _QUESTION_BYTES_MAX:
            frame = replies.value(read.content_type, body)
            try:
                await self._serving.reply(read, frame)
            except FAILURES:
                return

    def record(self) -> dict[str, Any]:
        """What is known of this instance."""
        serving = self._serving
        partitions = serving.service.partitions
        divided = {} if partitions is None else {"partitions": partitions}
        return divided | {
            "id": serving.instance,
            "service": serving.service.name,
            "program": serving.bus.app,
            "host": socket.gethostname()[:255],
            "process": os.getpid(),
            "methods": {},
            "started_at": self._started_ms,
            "in_flight": serving.in_flight(),
            "draining": serving.stopping.is_set(),
        }

    async def announce(self) -> None:
        """Says for as long as it is not cancelled that this instance is there."""
        while True:
            await self._announced()
            await asyncio.sleep(_ANNOUNCED_EVERY)

    async def be_seen(self) -> None:
        """Has others see this instance, if they may have missed it: whoever saw nobody may have given
        up what is about to be begun.
        """
        if not self._is_settled():
            await self._announced(unless=self._is_settled)

    async def be_surely_seen(self) -> None:
        """As `be_seen`, also if that was tried in vain a moment ago: Redis has answered since then."""
        if not self._is_sure():
            await self._announced(unless=self._is_sure)

    def _is_sure(self) -> bool:
        return time.monotonic() < self._sure_until

    def _is_settled(self) -> bool:
        return self._is_sure() or time.monotonic() < self._again_at

    async def _announced(self, unless: Callable[[], bool] | None = None) -> None:
        """Announces it, one at a time; of those who wait for it the first does so."""
        try:
            async with asyncio.timeout(unless and _SEEN_WITHIN), self._announcing:
                if unless is None or not unless():
                    await self._announce_once()
        except FAILURES:
            # Until then nothing waits for it again.
            self._again_at = time.monotonic() + _ANNOUNCED_EVERY

    async def _announce_once(self) -> None:
        bus, queue = self._serving.bus, self._serving.service.queue
        asked_at = time.monotonic()
        was_sure = asked_at < self._sure_until
        arguments = [self._serving.instance, json.dumps(self.record()), _ANNOUNCED_FOR_MS]
        await bus.scripts.announce(list(bus.names.instances(queue)), arguments)
        if not was_sure:
            await self._serving.learn_what_was_given_up()
        # A second for what is begun by it.
        self._sure_until = asked_at + _ANNOUNCED_FOR_MS / 1000 - 1
        await bus.redis.zadd(bus.names.served(), {queue: await self._forgotten_at()})

    async def _forgotten_at(self) -> int:
        seconds, _ = await self._serving.bus.redis.time()
        return (int(seconds) + _SERVED_FOR) * 1000

    async def withdraw(self) -> None:
        """Says that it is gone."""
        bus, queue = self._serving.bus, self._serving.service.queue
        try:
            left = await bus.scripts.withdraw(
                list(bus.names.instances(queue)), [self._serving.instance]
            )
            if not left:
                await bus.redis.zrem(bus.names.served(), queue)
        except FAILURES:
            return
