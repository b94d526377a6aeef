"""Messages that wait on the broker until they are due.

A plain queue can't hold messages for different times, because one that expires later holds up those
behind it. So there is a queue for each power of two of seconds, and a message goes through those that
its delay is made of.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import logging
import math
import time
from typing import Any

from aiormq.abc import AbstractChannel
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from pamqp.commands import Basic

from . import levels
from .errors import CallFailed
from .inbox import FAILURES as STORE_FAILURES
from .levels import LEVELS, Destination, Way
from .link import FAILURES, Link
from .names import Names
from .pauses import Pauses
from .scripts import Scripts

log = logging.getLogger(__name__)

#: The longest delay, in seconds: until the same day of the next year.
DELAY_MAX = 366 * 24 * 60 * 60.0
#: Seconds for which the levels are taken to be there, and a destination.
_LEVELS_TRUSTED_FOR, _DESTINATION_TRUSTED_FOR = 60.0, 5.0
_REMEMBERED_MAX = 1024
#: Messages that are listed for one queue, bytes of a note, and seconds that it may take.
_LISTED_MAX, _NOTE_BYTES_MAX, _NOTED_WITHIN = 10_000, 1024, 1.0
_NOTED_AT_ONCE = 256
_LETTERS_MAX, _LETTERS_BYTES_MAX = 100_000, 1_073_741_824


def due_of(after: float | None, at: datetime.datetime | None) -> float | None:
    """When something is due, in seconds since the Unix epoch; `None` if it is now.

    Raises:
        ValueError: both are given, the moment has no time zone, or it is too far ahead.
    """
    if after is not None and at is not None:
        raise ValueError("either `after` or `at`: both say when it is due")
    if at is not None and at.tzinfo is None:
        raise ValueError("`at` is a moment with a time zone")
    left = at.timestamp() - time.time() if at is not None else (after or 0.0)
    if math.isnan(left) or left > DELAY_MAX:
        raise ValueError(f"a delay of {left} s: {DELAY_MAX:.0f} are allowed")
    return time.time() + left if left > 0 else None


class Delays:
    """Publishes messages that are due later, makes the way for them first, and has them listed."""

    def __init__(self, link: Link, names: Names, scripts: Scripts, app: str) -> None:
        self._link, self._names, self._scripts, self._app = link, names, scripts, app
        self._way = Way(names.full("replybus.delay"))
        #: What is there: on which connection, and until when that is not asked again.
        self._known: dict[str, tuple[object, float]] = {}
        self._declaring = asyncio.Lock()
        self._notes: set[asyncio.Task[None]] = set()

    async def publish(
        self,
        to: Destination,
        body: bytes,
        properties: Basic.Properties,
        *,
        due: float,
        within: float,
    ) -> None:
        """Has a message reach its destination when it is due, and waits until the broker has it.

        Raises:
            CallFailed: `unroutable`, `overloaded`, `bad_request` or `denied`, if the broker has it
                not; `disconnected`, which says whether it may have it.
        """
        try:
            to.check(self._way)
        except ValueError as error:
            raise CallFailed("bad_request", str(error), False) from error
        until = asyncio.get_running_loop().time() + within
        await self._make(to, until)
        if properties.headers is not None:
            # Of a message that was delayed before: the broker drops one that comes by a queue again.
            properties.headers = {
                name: value
                for name, value in properties.headers.items()
                if not name.startswith(("x-death", "x-first-death-", "x-last-death-"))
            }
        await self._link.publish(
            levels.routing_key(due - time.time(), to.name),
            body,
            properties,
            exchange=self._way.entry,
            within=max(0.001, until - asyncio.get_running_loop().time()),
        )

    async def _make(self, to: Destination, until: float) -> None:
        pauses = Pauses(0.05, 2.0)
        while True:
            try:
                async with asyncio.timeout_at(until):
                    connection = await self._link.connection()
                    async with self._declaring:
                        await self._make_on(connection, to)
                return
            except TimeoutError as error:
                text = "what delays need could not be declared in time"
                raise CallFailed("disconnected", text, False) from error
            except ChannelAccessRefused as error:
                text = f"delays need {self._way.entry!r} and what begins so: {error}"
                raise CallFailed("denied", text, False) from error
            except (ChannelPreconditionFailed, ChannelNotFoundEntity) as error:
                text = f"what delays need can't be declared: {error}"
                raise CallFailed("bad_request", text, False) from error
            except FAILURES as error:
                log.warning("what delays need is declared again: %s", type(error).__name__)
            await asyncio.sleep(pauses.next())

    async def _make_on(self, connection: Any, to: Destination) -> None:
        now = time.monotonic()
        queue = self._way.due_queue(to)
        if not self._is_known(self._way.entry, connection):
            await self._declare(connection, self._levels)
            self._known[self._way.entry] = (connection, now + _LEVELS_TRUSTED_FOR)
        if self._is_known(queue, connection):
            return
        if to.exchange:
            await self._link.declare_topic(to.exchange, within=10.0)
        elif not await self._is_queue(connection, to.key):
            raise CallFailed("unroutable", f"there is no queue {to.key!r}", False)

        async def destination(channel: AbstractChannel) -> None:
            await self._destination(channel, to)

        await self._declare(connection, destination)
        if len(self._known) >= _REMEMBERED_MAX:
            self._known = {name: one for name, one in self._known.items() if one[1] > now}
        self._known[queue] = (connection, now + _DESTINATION_TRUSTED_FOR)

    def _is_known(self, name: str, connection: object) -> bool:
        on, until = self._known.get(name, (None, 0.0))
        return on is connection and until > time.monotonic()

    async def _is_queue(self, connection: Any, queue: str) -> bool:
        channel = await connection.channel(publisher_confirms=False)
        try:
            await channel.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            return False
        await channel.close()
        return True

    async def _declare(self, connection: Any, declare: Any) -> None:
        channel = await connection.channel(publisher_confirms=False)
        try:
            await declare(channel)
        finally:
            with contextlib.suppress(*FAILURES):
                await channel.close()

    async def _levels(self, channel: AbstractChannel) -> None:
        """From the end to the beginning: what comes in finds its way."""
        way = self._way
        otherwise = {"alternate-exchange": way.lost}
        kept = {"x-max-length": _LETTERS_MAX, "x-max-length-bytes": _LETTERS_BYTES_MAX}
        await channel.queue_declare(way.lost, durable=True, arguments=dict(kept))
        await _exchange(channel, way.lost, "fanout")
        await channel.queue_bind(way.lost, way.lost)
        await _exchange(channel, way.due, "topic", otherwise)
        for level in range(LEVELS):
            name, below = way.level(level), way.below(level)
            held = _dead_lettered(1000 << level, below)
            await channel.queue_declare(name, durable=True, arguments=held)
            if level + 1 < LEVELS:
                # What leaves the level above comes here.
                await _exchange(channel, name, "topic", otherwise)
                await channel.queue_bind(name, name, levels.at(level, True))
                await channel.exchange_bind(below, name, levels.at(level, False))
        # No other exchange takes what this one can't route: its publisher is told.
        await _exchange(channel, way.first, "topic")
        await channel.exchange_bind(way.due, way.first, levels.at_none())
        for level in range(LEVELS):
            await channel.queue_bind(way.level(level), way.first, levels.first_at(level))
        await _exchange(channel, way.fresh, "headers", {"alternate-exchange": way.first})
        # Kept aside is what has deaths behind it: the broker may stop all dead-lettering over them.
        deaths: Any = {"x-match": "any-with-x", "x-death": None}
        await channel.queue_bind(way.lost, way.fresh, arguments=deaths)
        await _exchange(channel, way.entry, "topic")
        await channel.exchange_bind(way.fresh, way.entry, "#")

    async def _destination(self, channel: AbstractChannel, to: Destination) -> None:
        way = self._way
        if to.exchange:
            # A queue that forgets gets them as well: what reaches no queue is offered again until it
            # does, and an event that nobody subscribes to is to pass unheard.
            emitting = way.emitting(to)
            await channel.queue_declare(way.unheard, durable=True, arguments={"x-message-ttl": 0})
            await _exchange(channel, emitting, "topic")
            await channel.queue_bind(way.unheard, emitting, "#")
            await channel.exchange_bind(to.exchange, emitting, "#")
        else:
            emitting = ""
        held = _dead_lettered(0, emitting) | {"x-dead-letter-routing-key": to.key}
        queue = way.due_queue(to)
        await channel.queue_declare(queue, durable=True, arguments=held)
        await channel.queue_bind(queue, way.due, to.pattern())

    def note(self, place: str, note: dict[str, Any], due: float) -> None:
        """Has a message listed that the broker has: nobody waits for it, and nothing depends on it.

        `place` is the queue without the namespace, or the routing key of an event.
        """
        due_ms = int(due * 1000)
        note = note | {"due_ms": due_ms, "program": self._app}
        record = json.dumps(note, ensure_ascii=False, separators=(",", ":")).encode()
        if len(record) <= _NOTE_BYTES_MAX:
            arguments = [note["id"], due_ms, record, _LISTED_MAX]
            self._write(self._scripts.note_delayed, place, arguments)

    def forget(self, place: str, call_id: str) -> None:
        """Takes a call off the list that was cancelled."""
        self._write(self._scripts.forget_delayed, place, [call_id])

    async def close(self) -> None:
        """Waits for the notes that are being written."""
        if self._notes:
            await asyncio.wait(self._notes, timeout=_NOTED_WITHIN)

    def _write(self, script: Any, place: str, arguments: list[Any]) -> None:
        if len(self._notes) >= _NOTED_AT_ONCE:
            return

        async def write() -> None:
            try:
                async with asyncio.timeout(_NOTED_WITHIN):
                    await script(list(self._names.delayed(place)), arguments)
            except STORE_FAILURES:
                log.debug("the list of what is delayed is not as it could be")

        task = asyncio.create_task(write())
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)


async def _exchange(
    channel: AbstractChannel, name: str, kind: str, arguments: dict[str, Any] | None = None
) -> None:
    await channel.exchange_declare(
        name, exchange_type=kind, durable=True, arguments=dict(arguments or {})
    )


def _dead_lettered(ttl_ms: int, exchange: str) -> dict[str, Any]:
    """A queue whose messages move on after so long, each confirmed by the next queue before that."""
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": ttl_ms,
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
