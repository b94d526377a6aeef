"""The way of one delivery: read, run, replied to, kept if it failed; acknowledged after all that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from . import envelope, feeds, runs
from .bundles import TYPE
from .claims import Refused
from .commands import CommandRun
from .dead_letters import Cause
from .envelope import Envelope
from .errors import CallFailed
from .inbox import FAILURES
from .jobs import Jobs
from .message import Message, unbundled
from .outcome import GivenBack, Outcome
from .partition_line import misplaced
from .pauses import Pauses
from .producer import opened
from .redeliveries import Redelivery
from .retries import put_aside
from .service import Served

if TYPE_CHECKING:
    from .serving import Serving

log = logging.getLogger(__name__)


class Deliveries:
    """Takes the deliveries of one service to their ends."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._jobs = Jobs(serving, self._command, self._conclude)

    async def take(self, message: Message) -> None:
        """Takes one message to its end.

        Raises:
            GivenBack: it was not.
        """
        if message.kind != TYPE or message.partition is not None:
            await self._take_one(message)
            return
        try:
            entries = unbundled(message)
        except CallFailed as failed:
            read = envelope.read(message, self._serving.names)
            await self._conclude(read, Outcome.of_fault(read.content_type, failed))
            return
        if message.redelivered:
            # One that kills its worker takes nobody with it.
            for entry in entries:
                await self._take_one(entry)
            return
        ends = await asyncio.gather(*map(self._take_one, entries), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _take_one(self, message: Message) -> None:
        serving = self._serving
        read = envelope.read(message, serving.names)
        try:
            served = self._wanted(read)
        except CallFailed as failed:
            outcome = Outcome.of_fault(read.content_type, failed, unknown=True)
            await self._conclude(read, outcome)
            return
        # What is claimed by a name is counted by that. Each delivery of one without is another.
        is_claimed = served.is_claimed and (read.is_named or read.key is not None)
        if served.job is not None and is_claimed:
            await self._jobs.take(served, read)
            return
        if not serving.service.has_jobs():
            await serving.places.acquire()
        elif not await self._jobs.entered(read):
            return
        try:
            if serving.stopping.is_set():
                raise GivenBack
            if message.redelivered and not is_claimed:
                await self._run_again(served, read)
            else:
                await self._run(served, read, 1)
        finally:
            serving.places.release()

    def _wanted(self, read: Envelope) -> Served:
        """The method that is called, of a request that may be run."""
        if read.fault is not None:
            raise read.fault
        service = self._serving.service
        divided = service.partitions
        if divided is not None and (reason := misplaced(read.message, divided)) is not None:
            raise CallFailed("bad_request", reason, False)
        name = read.message.kind or ""
        served = service.methods.get(name)
        # Of one that may have been started the claim says so. One whose reply is looked for later may
        # have been given to another worker, if this one stood still.
        asks = served is not None and served.is_claimed
        asks = asks and (read.seen_before or (read.is_awaited and read.inbox is None))
        if not asks and read.is_late():
            raise CallFailed("expired", "its time had passed before it was started", False)
        if not asks and self._serving.held.is_cancelled(read.call_id):
            raise CallFailed("cancelled", "it was cancelled before it was started", False)
        if served is None:
            known = ", ".join(service.methods)
            text = f"queue {service.queue!r} has no method {name[:64]!r}, it has: {known}"
            raise CallFailed("unknown_method", text, False)
        feeds.invited(served, read)
        return served

    async def _run_again(self, served: Served, read: Envelope) -> None:
        claims, queue = self._serving.claims, self._serving.service.queue
        name = read.call_id if read.is_named else None
        counted = Redelivery(claims, queue, name, read.message)
        try:
            attempt = await counted.begin(runs.time_of(read), self._serving.stopping.is_set)
        except Refused as refused:
            await self._conclude(read, Outcome.of_fault(read.content_type, refused.failed))
            return
        try:
            await self._run(served, read, attempt)
        finally:
            # Given back on purpose it does not count either.
            await counted.end()

    async def _run(self, served: Served, read: Envelope, attempt: int) -> None:
        try:
            if served.kind == "command":
                await self._command(CommandRun(self._serving, served, read, attempt), read)
                return
            run = opened if served.kind == "stream" else runs.query
            outcome = await run(self._serving, served, read, attempt)
        except CallFailed as failed:
            outcome = Outcome.of_fault(read.content_type, failed, unknown=True)
        await self._conclude(read, outcome)

    async def _command(self, command: CommandRun, read: Envelope) -> None:
        running = asyncio.create_task(command.outcome())
        await asyncio.wait([running], timeout=self._left(read))
        if running.done():
            await self._came_to(read, running.result(), command)
            return
        # Its caller is told, and it goes on to its end.
        text = "the handler did not finish in the time given"
        late = Outcome.of_fault(read.content_type, CallFailed("timed_out", text, True))
        await self._stored(read, late)
        outcome = await running
        if not await self._is_left(read, outcome, command):
            await self._conclude(read, outcome, command, is_answered=True)
        await self._followed(read, outcome, command)

    async def _is_left(self, read: Envelope, outcome: Outcome, command: CommandRun) -> bool:
        """Whether it is a job that another worker runs, to which it was left.

        Raises:
            GivenBack: it is given back for that.
        """
        if outcome.is_left:
            raise GivenBack
        if command.is_job and outcome.elsewhere:
            await self._jobs.leave(read)
            return True
        return False

    async def _came_to(self, read: Envelope, outcome: Outcome, command: CommandRun) -> None:
        if await self._is_left(read, outcome, command):
            return
        retries = command.retries
        if retries is not None and retries.due is not None:
            if await put_aside(self._serving, read, retries):
                return
            outcome = replace(outcome, is_exhausted=True)
        if retries is not None and retries.runs > 0:
            retries.note_in(read.message.headers)
            outcome = replace(outcome, attempts=max(outcome.attempts or 0, retries.runs))
        await self._conclude(read, outcome, command)
        await self._followed(read, outcome, command)

    async def _followed(self, read: Envelope, outcome: Outcome, command: CommandRun) -> None:
        """What comes after it waits for the run that goes on elsewhere."""
        if outcome.elsewhere and command.claim and read.message.partition is not None:
            until = asyncio.get_running_loop().time() + runs.LONGEST
            await self._serving.claims.ended_elsewhere(command.claim, until)

    def _left(self, read: Envelope) -> float | None:
        if read.deadline is None:
            return None
        return max(0.0, read.deadline - asyncio.get_running_loop().time())

    async def _conclude(
        self,
        read: Envelope,
        outcome: Outcome,
        command: CommandRun | None = None,
        *,
        is_answered: bool = False,
    ) -> None:
        outcome = outcome.seen(read)
        if outcome.claim is not None or not is_answered:
            await self._stored(read, outcome, is_answered=is_answered)
        failed = outcome.error
        if failed is None or not outcome.is_dead_letter(read):
            return
        if command is not None and command.is_handed_back:
            # Its message says so when it comes again.
            return
        code, text, executed = (
            "handler",
            "the handler returned an error, and nobody waits for it",
            True,
        )
        if isinstance(failed, CallFailed):
            code, text, executed = failed.code, failed.message, failed.may_have_executed
        claim = None if command is None else command.claim
        known = None if claim is None else claim.known_until_ms()
        cause = Cause(code, text, executed, known, outcome.attempts)
        await self._serving.dead_letters.keep(read.message, cause)

    async def _stored(self, read: Envelope, outcome: Outcome, *, is_answered: bool = False) -> None:
        """Stores the reply, and records it if it is to be.

        Raises:
            GivenBack: Redis has not taken it for so long that the message is to be handled again, or
                another run has its claim by now, which may not know of this call.
        """
        to = "inbox" if read.inbox else "key" if read.is_awaited else "none"
        to = "none" if is_answered else to
        is_told = True
        if outcome.claim is not None:
            claim = outcome.claim

            async def store() -> None:
                nonlocal is_told
                is_told = await self._serving.claims.finish(
                    claim, outcome.frame, read.call_id, read.inbox, to
                )

            patience = runs.LONGEST
        elif to == "none":
            return
        else:

            async def store() -> None:
                await self._serving.reply(read, outcome.frame)

            patience = runs.LONGEST if read.inbox is None else self._left(read) or 0.0
        if not await until_done(store, patience) or (to != "none" and not is_told):
            raise GivenBack


async def until_done(store: Callable[[], Awaitable[None]], patience: float) -> bool:
    loop = asyncio.get_running_loop()
    until, pauses = loop.time() + patience, Pauses(0.05, 2.0)
    while True:
        try:
            await store()
            return True
        except FAILURES as error:
            log.warning("a reply is stored again: %s", type(error).__name__)
        if loop.time() > until:
            return False
        await asyncio.sleep(pauses.next())
