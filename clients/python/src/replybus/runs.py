"""Runs of handlers, and those of queries: each in its time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import context, feeds, replies
from .codec import decode
from .envelope import Envelope
from .errors import CallFailed, HandlerError
from .outcome import Outcome
from .service import Served
from .tasks import is_end

if TYPE_CHECKING:
    from .serving import Serving

log = logging.getLogger(__name__)

#: Seconds that a call may take that says nothing of its time.
LONGEST = 20 * 60.0


def arguments_of(served: Served, envelope: Envelope) -> Mapping[str, Any]:
    """The arguments of a request.

    Raises:
        CallFailed: `bad_request`: they can't be read.
    """
    try:
        return served.bind(decode(envelope.content_type, envelope.message.body))
    except ValueError as error:
        raise CallFailed("bad_request", f"the arguments can't be read: {error}", False) from error


def time_of(envelope: Envelope) -> float:
    """When its caller stops waiting, or it has taken as long as any call may, by the loop's clock."""
    return envelope.deadline or asyncio.get_running_loop().time() + LONGEST


def context_of(
    serving: Serving, served: Served, envelope: Envelope, attempt: int
) -> context.Context:
    """What the handler of this run may know."""
    of = envelope.context(attempt)
    of.service, of.method = serving.service.name, served.name
    return of


async def answered(
    serving: Serving,
    served: Served,
    envelope: Envelope,
    of: context.Context,
    arguments: Mapping[str, Any],
) -> Outcome:
    """What a handler comes to, which is called once the stream is there that it reads, if it does."""
    window = feeds.invited(served, envelope)
    if window is None or served.fed is None:
        return await _called(served, envelope, of, arguments)
    fed = feeds.Fed(serving, served, envelope, window)
    try:
        await fed.open(of.cancelled, time_of(envelope))
        items = fed.items()
        return await _called(served, envelope, of, {**arguments, served.fed: items})
    except CallFailed as failed:
        return Outcome.of_fault(envelope.content_type, failed)
    finally:
        await fed.close()


async def _called(
    served: Served, envelope: Envelope, of: context.Context, arguments: Mapping[str, Any]
) -> Outcome:
    began = time.perf_counter()
    content_type = envelope.content_type
    error: HandlerError | None = None
    try:
        with context.entered(of):
            value = await served.run(arguments)
    except HandlerError as raised:
        error, value = raised, raised.error
    except (Exception, asyncio.CancelledError) as failed:
        if is_end(failed):
            raise
        log.exception("%s: the handler failed", served.name)
        return Outcome.of_fault(content_type, CallFailed("panicked", "the handler panicked", True))
    took = int((time.perf_counter() - began) * 1_000_000) if _tells(envelope) else None
    written = replies.value if error is None else replies.handler_error
    try:
        return Outcome(written(content_type, value, took), error)
    except ValueError as unwritten:
        text = f"the answer can't be sent: {unwritten}"
        return Outcome.of_fault(content_type, CallFailed("bad_reply", text, True))


def _tells(envelope: Envelope) -> bool:
    """Whether its caller is told how long it took, and by that to send bundles."""
    return envelope.inbox is not None and envelope.message.partition is None


async def query(serving: Serving, served: Served, envelope: Envelope, attempt: int) -> Outcome:
    """Runs a query until it is done, its caller stops waiting, or it is cancelled."""
    arguments = arguments_of(served, envelope)
    of = context_of(serving, served, envelope, attempt)
    task = asyncio.create_task(answered(serving, served, envelope, of, arguments))
    failed = CallFailed("cancelled", "it was cancelled while it ran", True)
    try:
        async with asyncio.timeout_at(time_of(envelope)):
            await serving.held.cancelling(envelope.call_id, task)
            return task.result()
    except TimeoutError:
        failed = CallFailed("timed_out", "the handler did not finish in the time given", True)
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
    finally:
        task.cancel()
    return Outcome.of_fault(envelope.content_type, failed)
