"""Many calls at once; those that may leave together do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .bundles import TYPE, entry
from .call import Call, Waiting, publish
from .errors import CallError, CallFailed
from .link import properties
from .names import new_id
from .replies import read
from .request import Request
from .tasks import ended

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")


async def gather(bus: Bus, calls: Iterable[Call[T]]) -> list[T | CallError]:
    """Makes calls, and waits for all: values, and the errors of those that failed."""
    prepared = [_prepared(call) for call in calls]
    requests = [one for one in prepared if isinstance(one, Request)]
    waiting = {request.call_id: Waiting(bus, request) for request in requests}
    with contextlib.ExitStack() as waits:
        for one in waiting.values():
            waits.enter_context(one)
        sending: dict[str, asyncio.Task[None]] = {}
        for part in bus.bundles.divide(requests):
            of_part = [waiting[request.call_id] for request in part]
            task = asyncio.create_task(_send(bus, part, of_part))
            sending |= {request.call_id: task for request in part}

        async def answered(one: Request | CallFailed) -> Any:
            if isinstance(one, CallFailed):
                return one
            return await _answer(waiting[one.call_id], sending[one.call_id])

        try:
            answers = await asyncio.gather(*(answered(one) for one in prepared))
            return cast("list[T | CallError]", answers)
        finally:
            await ended(*sending.values())


def _prepared(call: Call[Any]) -> Request | CallFailed:
    if not isinstance(call, Call):
        raise TypeError(
            f"{type(call).__name__}: only a Call leaves with others; await it by itself"
        )
    try:
        return call.prepare()
    except CallFailed as failed:
        return failed


async def _answer(waiting: Waiting, sending: asyncio.Task[None]) -> Any:
    reply = asyncio.create_task(waiting.reply())
    try:
        await asyncio.wait([reply, sending], return_when=asyncio.FIRST_COMPLETED)
        if not reply.done() and (failed := sending.exception()) is not None:
            if isinstance(failed, CallError):
                return failed
            raise failed
        return await reply
    except CallError as error:
        return error
    finally:
        reply.cancel()


async def _send(bus: Bus, requests: list[Request], waiting: list[Waiting]) -> None:
    if len(requests) == 1:
        await publish(bus, requests[0])
    else:
        await _send_together(bus, requests, waiting)


async def _send_together(bus: Bus, requests: list[Request], waiting: list[Waiting]) -> None:
    """Publishes requests as one message; each of them again, by itself, if nobody reads it.

    Raises:
        CallFailed: the broker surely has none of them.
    """
    first, latest = requests[0], max(request.deadline_ms for request in requests)
    bundle = new_id()
    refused: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def take(frame: bytes) -> None:
        if not refused.done():
            refused.set_result(frame)

    with bus.inbox.waiting(bundle, take):
        about = properties(
            message_type=TYPE,
            correlation_id=bundle,
            message_id=bundle,
            reply_to=bus.inbox.name,
            content_type=first.content_type,
            app_id=bus.app,
            delivery_mode=2 if first.method.is_command else 1,
            expiration=str(max(1, int(max(request.left() for request in requests) * 1000))),
            headers={"deadline": str(latest)},
        )
        body = b"".join(entry(one, sooner_ms=latest - one.deadline_ms) for one in requests)
        queue = bus.names.full(first.queue)
        try:
            await bus.link.publish(queue, body, about, within=first.left())
        except CallFailed as failed:
            if not failed.may_have_executed:
                raise
            await _send_again(bus, requests, waiting)
            return
        until = max(request.until for request in requests)
        await _until_answered(refused, waiting, until)
        if not refused.done():
            return
    bus.bundles.heard(first.queue, False)
    executed = _may_have_executed(refused.result(), bundle)
    await _send_again(bus, requests, waiting, executed)


async def _send_again(
    bus: Bus, requests: list[Request], waiting: list[Waiting], executed: bool = True
) -> None:
    """Publishes each by itself; one that may have been executed only if it may be repeated. What
    becomes of one says nothing of the others.
    """

    async def again(request: Request, one: Waiting) -> None:
        request.is_repeated |= executed
        try:
            await publish(bus, request)
        except CallFailed as failed:
            one.fail(failed)

    both = zip(requests, waiting, strict=True)
    repeated = [pair for pair in both if not executed or pair[0].may_be_repeated()]
    await asyncio.gather(*(again(*pair) for pair in repeated))


async def _until_answered(
    refused: asyncio.Future[bytes], waiting: list[Waiting], until: float
) -> None:

    async def all_answered() -> None:
        await asyncio.gather(*(one.answered() for one in waiting))

    answered = asyncio.create_task(all_answered())
    waited: set[asyncio.Future[Any]] = {refused, answered}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    answered.cancel()


def _may_have_executed(frame: bytes, bundle: str) -> bool:
    try:
        read(frame, bundle)
    except CallFailed as failed:
        return failed.may_have_executed
    except Exception:
        return True
    return True
