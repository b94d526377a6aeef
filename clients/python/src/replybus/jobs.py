"""Jobs: commands that take long. The message of one is settled while it runs, and comes back now and
then so that somebody looks after it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import claims
from .claims import Done
from .commands import CommandRun
from .envelope import Envelope
from .errors import CallFailed
from .inbox import FAILURES
from .outcome import GivenBack, Outcome
from .service import Served
from .tasks import ended
from .waiting import MISSED, STARTED, WaitingRoom, says

if TYPE_CHECKING:
    from .serving import Serving

log = logging.getLogger(__name__)

#: Seconds for which a delivery of a job that runs stays with its worker.
HELD_FOR = 10.0
#: Seconds after which a message is put off that no handler was free for: far below the 30 minutes
#: after which RabbitMQ takes it away.
_PLACE_AWAITED_FOR = 10 * 60.0
#: Jobs of which an instance tells whoever asks, the oldest first.
_TOLD_MAX = 256

Work = Callable[[CommandRun, Envelope], Awaitable[None]]
Conclude = Callable[[Envelope, Outcome, CommandRun], Awaitable[None]]


class Jobs:
    """The jobs of one serving, and what waits while its handlers are at them."""

    def __init__(self, serving: Serving, work: Work, conclude: Conclude) -> None:
        self._serving, self._work, self._conclude = serving, work, conclude
        self._room = WaitingRoom(serving)

    async def take(self, served: Served, read: Envelope) -> None:
        """Takes a delivery of a job to its end, or until it may be settled while the job goes on.

        Raises:
            GivenBack: it was not.
        """
        serving = self._serving
        run = CommandRun(serving, served, read, 1)
        if await self._is_looked_after(run, read) or not await self.entered(read):
            return
        running = asyncio.create_task(self._in_place(run, read))
        serving.jobs_running.add(running)
        running.add_done_callback(serving.jobs_running.discard)
        # Of one that is given back nobody may look any more.
        running.add_done_callback(lambda task: task.cancelled() or task.exception())
        handing_back = asyncio.create_task(self._hand_back(run, read))
        try:
            await asyncio.wait([running, handing_back], return_when=asyncio.FIRST_COMPLETED)
            if not run.is_handed_back:
                await asyncio.wait([running])
        except asyncio.CancelledError:
            # It goes on, and its message is given back.
            run.is_handed_back = True
            raise
        finally:
            await ended(handing_back)
        if running.done():
            running.result()

    async def _hand_back(self, run: CommandRun, read: Envelope) -> None:
        """Has the broker keep the message of a job that runs, once it was held for long. Of one that
        waits to be started it would say what is not so.
        """
        await asyncio.gather(asyncio.sleep(HELD_FOR), run.started.wait())
        run.is_handed_back = await self._room.keep_started(read)

    async def entered(self, read: Envelope) -> bool:
        """Waits for a place; false of a message that the broker keeps: all handlers are at jobs."""
        places = self._serving.places
        while True:
            try:
                async with asyncio.timeout(_PLACE_AWAITED_FOR):
                    await places.acquire()
                return True
            except TimeoutError:
                if await self._room.put_off(read):
                    return False

    async def leave(self, read: Envelope) -> None:
        """Leaves a job to whoever runs it.

        Raises:
            GivenBack: the broker keeps no messages.
        """
        if not await self._room.keep_started(read):
            raise GivenBack

    async def _in_place(self, run: CommandRun, read: Envelope) -> None:
        try:
            if self._serving.stopping.is_set():
                raise GivenBack
            # It may have waited for its place for long.
            if not (says(read.message, STARTED) and await self._is_looked_after(run, read)):
                await self._work(run, read)
        except GivenBack:
            if not run.is_handed_back:
                raise
        except Exception:
            if not run.is_handed_back:
                raise
            log.exception("what became of a job is said when its message comes back")
        finally:
            self._serving.places.release()

    async def _is_looked_after(self, run: CommandRun, read: Envelope) -> bool:
        """Looks at the record of a job that may have been started; true if it is not to be run now,
        and all is done with its message.
        """
        was_started = says(read.message, STARTED)
        if run.claim is None or not (was_started or read.seen_before):
            return False
        try:
            known = await self._serving.claims.record(run.claim.name)
        except FAILURES as error:
            if not was_started:
                return False
            # It is taken for one that runs: so it is looked at again.
            log.info("a job is looked at later: %s", type(error).__name__)
            await self.leave(read)
            return True
        if isinstance(known, Done):
            if was_started:
                outcome = Outcome.recorded(known.frame, read.call_id)
                await self._conclude(read, replace(outcome, has_run=True), run)
            return was_started
        if known is not None:
            # It is renewed three times in a lease.
            runs = known.lease_left_ms > claims.LEASE_MS / 2
            if runs:
                await self.leave(read)
            return runs
        if was_started and says(read.message, MISSED):
            text = "it was started, and its record is gone: it may be done, or half done"
            failed = CallFailed("interrupted", text, True)
            await self._conclude(read, Outcome.of_fault(read.content_type, failed), run)
        elif was_started and not await self._room.keep_started(read, is_missed=True):
            raise GivenBack
        return was_started


class RunningJobs:
    """The jobs that one instance runs, as it tells of them."""

    def __init__(self) -> None:
        self._runs: dict[CommandRun, tuple[int, int]] = {}

    def enter(self, run: CommandRun, attempt: int) -> None:
        """Enters a run that begins now."""
        self._runs[run] = (int(time.time() * 1000), attempt)

    def leave(self, run: CommandRun) -> None:
        """Takes it out."""
        self._runs.pop(run, None)

    def handed_back(self) -> int:
        """How many run whose deliveries are settled."""
        return sum(run.is_handed_back for run in self._runs)

    def tell_all(self) -> None:
        """Tells their handlers that they are to end."""
        for run in self._runs:
            run.tell()

    def told(self) -> dict[str, Any]:
        """The oldest of them, and the number of those that are left out."""
        oldest = list(self._runs.items())[:_TOLD_MAX]
        jobs = [run.told() | {"since_ms": at, "attempt": nth} for run, (at, nth) in oldest]
        return {"jobs": jobs, "more": len(self._runs) - len(oldest)}
