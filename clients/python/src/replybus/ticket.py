"""Calls whose reply is fetched later, by whoever has the ticket."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from . import replies
from .claims import REPLY_TTL_MS, Claims, Done, Running
from .codec import MSGPACK
from .errors import CallFailed, HandlerError
from .inbox import FAILURES, as_bytes
from .names import command_name
from .pauses import Pauses
from .progress import PROGRESS_EVERY, Progress

if TYPE_CHECKING:
    from .bus import Bus

log = logging.getLogger(__name__)

#: The longest pause between two looks at a job that says nothing new, in seconds.
_LOOK_AGAIN_MAX = 2.0
#: Seconds for which the record of a cancelled command is kept: with a key and without one.
_KEYED, _UNKEYED = 24 * 60 * 60, 30 * 60


@dataclass(frozen=True)
class Ticket:
    """A submitted call. As a dictionary it is what tickets are in every language."""

    service: str
    method: str
    queue: str
    call_id: str
    #: Milliseconds since the Unix epoch after which it is not worth looking.
    expires_at: int
    idempotency_key: str | None = None
    recorded: bool = False
    put_off: bool = False
    #: It was to be started later: it is listed until then.
    delayed: bool = False
    repeated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads, here and elsewhere."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, ticket: dict[str, Any]) -> Ticket:
        """A ticket that was written down.

        Raises:
            ValueError: it is none.
        """
        known = {field.name for field in fields(cls)}
        try:
            return cls(**({"queue": ""} | {k: v for k, v in ticket.items() if k in known}))
        except TypeError as error:
            raise ValueError(f"it is no ticket: {error}") from error


async def poll(bus: Bus, ticket: Ticket) -> replies.Reply | None:
    """The reply to a ticket, if it is there by now.

    Raises:
        HandlerError: it is the handler's own error.
        CallFailed: it is any other error, or Redis can't be reached.
    """
    try:
        frame = as_bytes(await bus.redis.get(bus.names.response(ticket.call_id)))
    except FAILURES as error:
        text = f"Redis can't be asked: {type(error).__name__}"
        raise CallFailed("disconnected", text, True, call_id=ticket.call_id) from error
    if frame is None:
        return None
    return replies.read(frame, ticket.call_id, is_repeated=ticket.repeated)


async def wait(bus: Bus, ticket: Ticket, timeout: float) -> Any:
    """The value that is the reply to a ticket, once it is there.

    Raises:
        HandlerError: the handler's own error.
        CallFailed: any other error, or there is none in time.
    """
    until = min(time.time() + timeout, ticket.expires_at / 1000)
    pauses = Pauses(0.005, 0.5)
    while True:
        try:
            reply = await poll(bus, ticket)
        except CallFailed as failed:
            if failed.code != "disconnected":
                raise
            reply = None
        if reply is not None:
            return reply.body
        if time.time() >= until:
            raise CallFailed("timed_out", "no reply in time", True, call_id=ticket.call_id)
        await asyncio.sleep(min(pauses.next(), max(0.001, until - time.time())))


@dataclass(frozen=True)
class TicketStatus:
    """The state of a submitted call."""

    #: `waiting`: it was not started, as far as is known. `running`: it was, and is not done. `done`:
    #: `wait` has its reply at once.
    state: Literal["waiting", "running", "done"]
    #: Of one that runs: counts the runs that were started.
    attempt: int | None = None
    #: Of one that runs: its worker gives signs of life. If not for long, another begins it anew.
    is_alive: bool | None = None
    #: Of a job that runs: what it said last of how far it is.
    progress: Progress | None = None


async def status(bus: Bus, ticket: Ticket) -> TicketStatus:
    """The state of the call now.

    Raises:
        redis.exceptions.RedisError: Redis can't be reached.
    """
    if ticket.recorded and ticket.queue:
        name = command_name(ticket.queue, ticket.method, ticket.idempotency_key, ticket.call_id)
        match await Claims(bus.scripts, bus.names).record(name):
            case Running(attempt, left, noted):
                progress = None if noted is None else Progress.decode(noted)
                return TicketStatus("running", attempt, left > 0, progress)
            case Done():
                return TicketStatus("done")
    is_there = await bus.redis.exists(bus.names.response(ticket.call_id))
    return TicketStatus("done" if is_there else "waiting")


async def progress(bus: Bus, ticket: Ticket) -> AsyncIterator[Progress]:
    """What a job says of how far it is, from now on until it is done."""
    newest: Progress | None = None
    was_started, pause = False, PROGRESS_EVERY
    while time.time() < ticket.expires_at / 1000:
        try:
            now = await status(bus, ticket)
        except FAILURES as error:
            log.info("looking at a job again: %s", type(error).__name__)
        else:
            if now.state == "done" or (now.state == "waiting" and was_started):
                # The latter is forgotten.
                return
            was_started = now.state == "running"
            if now.progress is not None and now.progress != newest:
                newest, pause = now.progress, PROGRESS_EVERY
                yield newest
                continue
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LOOK_AGAIN_MAX)


@dataclass(frozen=True)
class CancelOutcome:
    """What came of a cancel."""

    #: `never_started`: it was not started, and never will be. `running`: it is told. `done`: it is,
    #: and here is how. `told`: whoever has it is, and nobody says whether that was in time.
    state: str
    value: Any = None
    error: HandlerError | CallFailed | None = None


async def cancel(bus: Bus, ticket: Ticket) -> CancelOutcome:
    """Cancels a submitted call: a command that is recorded for sure, any other as well as may be.

    Raises:
        ValueError: the ticket names no queue.
        redis.exceptions.RedisError: Redis can't be reached; it may be cancelled.
    """
    if not ticket.queue:
        raise ValueError("a ticket without a queue can't cancel")
    left = max(0.001, ticket.expires_at / 1000 - time.time())
    if not ticket.recorded:
        bus.cancels.tell(ticket.queue, ticket.call_id, left)
        return CancelOutcome("told")
    text = "it was cancelled before it was started"
    unstarted = CallFailed("cancelled", text, ticket.put_off)
    begun = CallFailed("interrupted", "it was cancelled, and its worker died", True)
    name = command_name(ticket.queue, ticket.method, ticket.idempotency_key, ticket.call_id)
    kept = max(_UNKEYED if ticket.idempotency_key is None else _KEYED, int(left))
    frames = [replies.fault(MSGPACK, unstarted), replies.fault(MSGPACK, begun)]
    answer = await bus.scripts.cancel([bus.names.claim(name)], [*frames, kept * 1000])
    bus.cancels.tell(ticket.queue, ticket.call_id, left)
    state = answer[0].decode()
    if state == "unstarted":
        # Whoever waits need not until the message is there.
        await bus.redis.set(bus.names.response(ticket.call_id), frames[0], nx=True, px=REPLY_TTL_MS)
        if ticket.delayed:
            bus.delays.forget(ticket.queue, ticket.call_id)
        return CancelOutcome("never_started")
    if state == "running":
        return CancelOutcome("running")
    try:
        return CancelOutcome("done", replies.read(answer[1], ticket.call_id).body)
    except (HandlerError, CallFailed) as error:
        return CancelOutcome("done", error=error)
