"""Runs of handlers: a query in its time, a command under a claim and to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import claims, context, replies
from .claims import ATTEMPTS_MAX, Claim, Done, Refused
from .codec import decode
from .envelope import Envelope
from .errors import CallFailed, HandlerError
from .names import command_name
from .outcome import Outcome
from .service import Served
from .tasks import ended

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


async def answered(
    served: Served, envelope: Envelope, of: context.Context, arguments: Mapping[str, Any]
) -> Outcome:
    """What a handler comes to."""
    began = time.perf_counter()
    content_type = envelope.content_type
    error: HandlerError | None = None
    try:
        with context.entered(of):
            value = await served.run(arguments)
    except HandlerError as raised:
        error, value = raised, raised.error
    except Exception:
        log.exception("%s: the handler failed", served.name)
        return Outcome.of_fault(content_type, CallFailed("panicked", "the handler panicked", True))
    took = int((time.perf_counter() - began) * 1_000_000) if envelope.inbox else None
    written = replies.value if error is None else replies.handler_error
    try:
        return Outcome(written(content_type, value, took), error)
    except ValueError as unwritten:
        text = f"the answer can't be sent: {unwritten}"
        return Outcome.of_fault(content_type, CallFailed("bad_reply", text, True))


async def query(serving: Serving, served: Served, envelope: Envelope, attempt: int) -> Outcome:
    """Runs a query until it is done, its caller stops waiting, or it is cancelled."""
    arguments = arguments_of(served, envelope)
    of = envelope.context(attempt)
    task = asyncio.create_task(answered(served, envelope, of, arguments))
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


class CommandRun:
    """A run of a command: it goes on to its end, whatever becomes of the delivery."""

    def __init__(self, serving: Serving, served: Served, envelope: Envelope) -> None:
        self._serving, self._served, self._envelope = serving, served, envelope
        name = command_name(serving.service.queue, served.name, envelope.key, envelope.call_id)
        body = envelope.message.body
        self.claim: Claim = claims.of_command(
            name, envelope.key, envelope.deadline_ms, envelope.content_type, body
        )

    async def outcome(self) -> Outcome:
        """What the command comes to, by this run or by an earlier one."""
        envelope = self._envelope
        is_over = self._serving.stopping.is_set
        try:
            arguments = arguments_of(self._served, envelope)
            taken = await self._serving.claims.take(self.claim, time_of(envelope), is_over)
        except CallFailed as failed:
            return Outcome.of_fault(envelope.content_type, failed, unknown=True)
        except Refused as refused:
            return Outcome.of_fault(
                envelope.content_type,
                refused.failed,
                elsewhere=refused.elsewhere,
                unknown=refused.unknown,
            )
        if isinstance(taken, Done):
            return Outcome.recorded(taken.frame, envelope.call_id)
        if refusal := self._refusal(taken.attempt):
            await self._serving.claims.release(self.claim)
            attempts = taken.attempt - 1
            return Outcome.of_fault(envelope.content_type, refusal, attempts=attempts)
        return await self._run(arguments, taken.attempt)

    def _refusal(self, attempt: int) -> CallFailed | None:
        """Why it is not started although the claim was given."""
        if self._serving.held.is_cancelled(self._envelope.call_id):
            return CallFailed("cancelled", "it was cancelled before it was started", attempt > 1)
        if attempt > ATTEMPTS_MAX:
            text = f"it was started {ATTEMPTS_MAX} times, and never ended"
            return CallFailed("interrupted", text, True)
        if self._envelope.is_late():
            text = "it was started before and never ended, and its time has passed"
            late = CallFailed("expired", "its time had passed before it was started", False)
            return late if attempt == 1 else CallFailed("worker_lost", text, True)
        return None

    async def _run(self, arguments: Mapping[str, Any], attempt: int) -> Outcome:
        of = self._envelope.context(attempt)
        keeping = asyncio.create_task(self._serving.claims.keep(self.claim, of.cancelled.set))
        try:
            with self._serving.held.running(self._envelope.call_id, of.cancelled.set):
                outcome = await answered(self._served, self._envelope, of, arguments)
            failed = outcome.error
            if isinstance(failed, CallFailed) and failed.code == "panicked":
                # What it leaves is no outcome: the next run is told that there was one.
                await self._serving.claims.lapse(self.claim)
                return Outcome(outcome.frame, failed, attempts=attempt)
            return Outcome(outcome.frame, failed, self.claim, attempts=attempt)
        finally:
            await ended(keeping)
