"""Runs of commands: each goes on to its end, under a claim unless its handler keeps the record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import claims, runs
from .claims import ATTEMPTS_MAX, Claim, Done, Refused
from .context import Context
from .envelope import Envelope
from .errors import CallFailed, RetryLater
from .names import command_name
from .outcome import Outcome
from .progress import Reports
from .retries import Retries, no_run_after
from .service import Served
from .tasks import ended

if TYPE_CHECKING:
    from .serving import Serving

log = logging.getLogger(__name__)

#: Seconds for which the claim of a job is asked for while another has it: until it lapses, if its
#: worker has died. If not, the message comes again.
_JOB_ASKED_FOR = 2 * claims.LEASE_MS / 1000


class CommandRun:
    """A run of a command: it goes on to its end, whatever becomes of the delivery."""

    def __init__(self, serving: Serving, served: Served, envelope: Envelope, attempt: int) -> None:
        self._serving, self._served, self._envelope = serving, served, envelope
        self._delivery = attempt
        #: Of a job: the broker has its message once more, which says in the end what became of it.
        self.is_handed_back = False
        #: It has its claim, and its handler is called.
        self.started = asyncio.Event()
        self._of: Context | None = None
        self._reports: Reports | None = None
        #: `None` of one whose handler keeps the record.
        self.claim: Claim | None = None
        if served.is_claimed:
            name = command_name(serving.service.queue, served.name, envelope.key, envelope.call_id)
            body, deadline = envelope.message.body, envelope.deadline_ms
            kind = envelope.content_type
            self.claim = claims.of_command(name, envelope.key, deadline, kind, body)
        #: Its runs, if it may be put off.
        self.retries: Retries | None = None
        if served.retry is not None:
            until = no_run_after(envelope)
            self.retries = Retries(envelope.message, served.retry, until)

    @property
    def is_job(self) -> bool:
        """It takes long."""
        return self._served.job is not None

    def tell(self) -> None:
        """Tells its handler that it is to end."""
        if self._of is not None:
            self._of.cancelled.set()

    def told(self) -> dict[str, Any]:
        """What is told of it while it runs."""
        newest = None if self._reports is None else self._reports.newest
        progress = None if newest is None else newest.to_dict()
        return {
            "id": self._envelope.call_id,
            "method": self._served.name,
            "progress": progress,
        }

    async def outcome(self) -> Outcome:
        """What the command comes to, by this run or by an earlier one."""
        envelope, claim = self._envelope, self.claim
        try:
            arguments = runs.arguments_of(self._served, envelope)
            if claim is None:
                return self._told(await self._unclaimed(arguments))
            until, is_over = runs.time_of(envelope), self._serving.stopping.is_set
            patience = _JOB_ASKED_FOR if self.is_job else math.inf
            taken = await self._serving.claims.take(claim, until, is_over, patience)
        except CallFailed as failed:
            return self._told(Outcome.of_fault(envelope.content_type, failed, unknown=True))
        except Refused as refused:
            outcome = Outcome.of_fault(
                envelope.content_type,
                refused.failed,
                elsewhere=refused.elsewhere,
                unknown=refused.unknown,
            )
            return self._told(outcome)
        if isinstance(taken, Done):
            return Outcome.recorded(taken.frame, envelope.call_id)
        # Redis is back, if it was away: what was given up meanwhile is not begun.
        await self._serving.be_surely_seen()
        if refusal := self._refusal(taken.attempt):
            await self._serving.claims.release(claim)
            attempts = taken.attempt - 1
            outcome = Outcome.of_fault(envelope.content_type, refusal, attempts=attempts)
            return self._told(outcome)
        self.started.set()
        return self._told(await self._claimed(claim, arguments, taken.attempt))

    def _told(self, outcome: Outcome) -> Outcome:
        """What is known of its earlier runs with it."""
        if self.retries is None:
            return outcome
        return replace(outcome, has_run=self.retries.before > 0)

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

    async def _unclaimed(self, arguments: Mapping[str, Any]) -> Outcome:
        """A run of one whose handler keeps the record: what tells it from others is the handler's."""
        of = self._context(self._delivery)
        with self._serving.held.running(self._envelope.call_id, of.cancelled.set):
            outcome = await self._runs(of, arguments)
        return replace(outcome, unknown=True)

    async def _claimed(self, claim: Claim, arguments: Mapping[str, Any], attempt: int) -> Outcome:
        of = self._context(attempt)
        given_up = self._serving.claims
        beside = [asyncio.create_task(given_up.keep(claim, of.cancelled.set))]
        if self._served.job is not None:
            beside += self._as_job(claim, of, self._served.job)
        try:
            with self._serving.held.running(self._envelope.call_id, of.cancelled.set):
                outcome = await self._runs(of, arguments)
            failed = outcome.error
            if self.is_job and not (isinstance(failed, RetryLater) and self._is_left):
                # Also of a panic: its message comes again, and must find what became of it.
                outcome = replace(outcome, claim=claim)
            elif self.is_job:
                await given_up.lapse(claim)
                outcome = replace(outcome, is_left=True)
            elif isinstance(failed, CallFailed) and failed.code == "panicked":
                # What it leaves is no outcome: the next run is told that there was one.
                await given_up.lapse(claim)
            elif isinstance(failed, RetryLater) or _was_not_run(outcome):
                # Nor does this, which is to be done again.
                await given_up.release(claim)
            else:
                outcome = replace(outcome, claim=claim)
            return replace(outcome, attempts=attempt)
        finally:
            self._serving.jobs.leave(self)
            await ended(*beside)

    @property
    def _is_left(self) -> bool:
        """Its worker ends, and has told it so."""
        return self._serving.leaving.is_set()

    def _as_job(self, claim: Claim, of: Context, seconds: float) -> list[asyncio.Task[None]]:
        """Has it say how far it is, and be told when its time is over."""
        self._of, self._reports = of, Reports()
        of.report = self._reports.report
        self._serving.jobs.enter(self, of.attempt)

        async def told_in_time() -> None:
            await asyncio.sleep(seconds)
            of.cancelled.set()

        writing = self._reports.write(self._serving.claims, claim)
        return [asyncio.create_task(writing), asyncio.create_task(told_in_time())]

    def _context(self, attempt: int) -> Context:
        first = 1 if self.retries is None else self.retries.before + 1
        attempt = max(attempt, first)
        return runs.context_of(self._serving, self._served, self._envelope, attempt)

    async def _runs(self, of: Context, arguments: Mapping[str, Any]) -> Outcome:
        """Runs the handler, again while it puts the command off and the pause is short."""
        while True:
            outcome = await runs.answered(
                self._serving, self._served, self._envelope, of, arguments
            )
            retries, error = self.retries, outcome.error
            if retries is None or not isinstance(error, RetryLater):
                return outcome
            pause = retries.failed(error)
            if pause is None:
                return replace(outcome, is_exhausted=retries.is_exhausted)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await of.cancelled.wait()
                # Nobody wants it any more, or another worker has it.
                return outcome
            of = replace(of, attempt=of.attempt + 1)


def _was_not_run(outcome: Outcome) -> bool:
    """True if its handler was not called."""
    failed = outcome.error
    return isinstance(failed, CallFailed) and not failed.may_have_executed
