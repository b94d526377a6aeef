"""Claims: the right to run a command, an event or a redelivery, which one worker has at a time."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .codec import ContentType
from .errors import CallFailed
from .inbox import FAILURES, INBOX_ENTRIES
from .names import Names, new_id
from .pauses import Pauses
from .scripts import Scripts

log = logging.getLogger(__name__)

#: Milliseconds that a claim lives without being renewed.
LEASE_MS = 3_000
#: Runs of one command that may end without an outcome.
ATTEMPTS_MAX = 5
_DAY_MS, _KEPT_MS, _UNKEYED_MS = 24 * 60 * 60_000, 2 * 60_000, 30 * 60_000
#: The longest pause, in seconds, before a claim is asked for again.
_ASK_AGAIN_MAX = 0.5
#: Seconds between two looks at a record.
_LOOK_AGAIN = 0.25
#: How long a reply is kept under its own key.
REPLY_TTL_MS = 600_000


@dataclass(frozen=True)
class Claim:
    """A claim that may be asked for."""

    name: str
    fingerprint: bytes = bytes(16)
    retention_ms: int = _DAY_MS
    #: The moment until which its record lives at least, in milliseconds; 0 for none.
    until_ms: int = 0
    lease_ms: int = LEASE_MS
    owner: str = field(default_factory=new_id)

    def known_until_ms(self) -> int:
        """Until when a copy of what it is for is recognised."""
        gone = self.until_ms or int(time.time() * 1000) + self.retention_ms
        return gone - _KEPT_MS


def of_command(
    name: str, key: str | None, deadline_ms: int | None, content_type: ContentType, body: bytes
) -> Claim:
    """The claim of a command, which is found under `name`."""
    digest = hashlib.sha256(content_type.encode() + b"\0" + body).digest()[:16]
    if key is not None:
        return Claim(name, digest)
    if deadline_ms is not None and deadline_ms + _KEPT_MS <= time.time() * 1000 + _DAY_MS:
        return Claim(name, digest, _KEPT_MS, deadline_ms + _KEPT_MS)
    return Claim(name, digest, _UNKEYED_MS)


@dataclass(frozen=True)
class Taken:
    """A claim that was given: this is that run of what it is for."""

    attempt: int


@dataclass(frozen=True)
class Done:
    """What it is for was done, and this is its reply."""

    frame: bytes


@dataclass(frozen=True)
class Running:
    """A claim that was given and of which no outcome is recorded."""

    attempt: int
    #: Milliseconds for which it is another's if it is not renewed; 0 of one that nobody renews.
    lease_left_ms: int
    #: What its handler said last of how far it is.
    progress: bytes | None


class Refused(Exception):
    """A claim that was not given."""

    def __init__(
        self, failed: CallFailed, *, elsewhere: bool = False, unknown: bool = False
    ) -> None:
        super().__init__(str(failed))
        self.failed = failed
        #: Another run of it goes on.
        self.elsewhere = elsewhere
        #: It does not say whether there was an earlier run.
        self.unknown = unknown


class Claims:
    """The claims of one bus."""

    def __init__(self, scripts: Scripts, names: Names) -> None:
        self._scripts, self._names = scripts, names

    async def take(
        self,
        claim: Claim,
        until: float,
        is_over: Callable[[], bool],
        patience: float = math.inf,
    ) -> Taken | Done:
        """Asks for a claim until it is given or refused, or `until` by the loop's clock, or another
        has had it for `patience` seconds.

        Raises:
            Refused: it was not given.
        """
        pauses, waited = Pauses(0.005, _ASK_AGAIN_MAX), False
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + patience
        while True:
            asked_at = loop.time()
            try:
                answer = await self._ask(claim, waited)
            except FAILURES as error:
                log.warning("asking for a claim again: %s", type(error).__name__)
                answer = [b"unasked"]
            age = loop.time() - asked_at
            match answer:
                case [b"run", attempt] if not 0 < claim.lease_ms <= age * 1000:
                    return Taken(int(attempt))
                case [b"run", _]:
                    log.warning("a claim was given longer ago than it lives: asking again")
                case [b"done", frame]:
                    return Done(bytes(frame))
                case [b"conflict"]:
                    text = "the idempotency key was used for another request"
                    raise Refused(CallFailed("key_conflict", text, False))
                case [b"expired"]:
                    text = "its time had passed long before it was started"
                    raise Refused(CallFailed("expired", text, False), unknown=True)
                case [b"running"]:
                    waited = True
            pause = pauses.next()
            now = loop.time()
            is_late = now + pause > until
            # What was true when it was asked says little of what is now.
            is_old = answer != [b"unasked"] and age > _ASK_AGAIN_MAX
            if is_late and is_old and asked_at < until and not is_over():
                continue
            if is_over() or is_late or (waited and now > patient_until):
                raise _out_of_time(waited)
            await asyncio.sleep(pause)

    async def _ask(self, claim: Claim, waited: bool) -> list[Any]:
        arguments = [*self._running(claim), int(waited)]
        answers: list[list[Any]] = await self._scripts.claim([self._key(claim)], arguments)
        return answers[0]

    async def keep(self, claim: Claim, lost: Callable[[], None]) -> None:
        """Renews a claim for as long as it is not cancelled; tells if it is another's by now."""
        pause = LEASE_MS / 3000
        while True:
            await asyncio.sleep(pause)
            try:
                is_ours = await self._scripts.renew([self._key(claim)], self._running(claim))
                pause = LEASE_MS / 3000
            except FAILURES as error:
                log.warning("a claim was not renewed: %s", type(error).__name__)
                pause = 0.1
                continue
            if not is_ours:
                lost()
                return

    async def record(self, name: str) -> Running | Done | None:
        """Looks at the record of what is claimed under this name, if there is one.

        Raises:
            redis.exceptions.RedisError: Redis can't be reached.
        """
        match await self._scripts.record([self._names.claim(name)], []):
            case [b"done", frame]:
                return Done(bytes(frame or b""))
            case [b"running", attempt, left, *rest]:
                return Running(int(attempt), int(left), rest[0] if rest else None)
        return None

    async def note(self, claim: Claim, progress: bytes) -> None:
        """Notes in the record of a claim how far its run is, unless it is another's by now.

        Raises:
            redis.exceptions.RedisError: it may not be noted.
        """
        await self._scripts.note([self._key(claim)], [claim.owner, progress])

    async def ended_elsewhere(self, claim: Claim, until: float) -> None:
        """Waits until the run of another has ended, or its lease is over; no longer than `until`."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            try:
                known = await self.record(claim.name)
                if not isinstance(known, Running) or known.lease_left_ms <= 0:
                    return
            except FAILURES as error:
                log.info("looking for the end of a run again: %s", type(error).__name__)
            await asyncio.sleep(_LOOK_AGAIN)

    async def release(self, claim: Claim) -> None:
        """Gives up a claim under which nothing was done: the run does not count."""
        await self._given_up(self._scripts.release, claim)

    async def lapse(self, claim: Claim) -> None:
        """Gives up a claim under which something may have been done: the run counts."""
        await self._given_up(self._scripts.lapse, claim)

    async def _given_up(self, script: Any, claim: Claim) -> None:
        try:
            await script([self._key(claim)], [claim.owner])
        except FAILURES as error:
            log.info("a claim is left to lapse: %s", type(error).__name__)

    async def finish(
        self, claim: Claim, frame: bytes, call_id: str, inbox: str | None, to: str
    ) -> bool:
        """Records an outcome, and stores it as the reply in the same step: `to` is `inbox`, `key` or
        `none`. What was recorded before stands, and is the reply then. Returns false if nothing was
        stored: another run has the claim by now, and its outcome is still to come.

        Raises:
            redis.exceptions.RedisError: it may not be recorded.
        """
        response = self._names.response(call_id)
        keys = {"inbox": [inbox or "", response], "key": [response]}.get(to, [])
        arguments = [INBOX_ENTRIES, claim.owner, claim.fingerprint, frame]
        arguments += [claim.retention_ms, claim.until_ms, call_id, REPLY_TTL_MS, to]
        answers = await self._scripts.finish([self._key(claim), *keys], arguments)
        return bool(answers[0] != 0)

    def _key(self, claim: Claim) -> str:
        return self._names.claim(claim.name)

    def _running(self, claim: Claim) -> list[Any]:
        life = claim.retention_ms + claim.lease_ms
        return [claim.owner, claim.fingerprint, claim.lease_ms, life, claim.until_ms]


def _out_of_time(waited: bool) -> Refused:
    if waited:
        text = "an earlier run of it was still going when the time was up"
        return Refused(CallFailed("timed_out", text, True), elsewhere=True)
    failed = CallFailed("overloaded", "the claim could not be taken", False)
    return Refused(failed, unknown=True)
