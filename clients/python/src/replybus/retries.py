"""The runs of a command that its handler puts off: counted, with their errors, and told whether there
is a next one.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .context import as_text
from .envelope import CLOCK_ALLOWANCE, Envelope
from .errors import CallFailed, RetryLater
from .levels import Destination
from .message import Message

if TYPE_CHECKING:
    from .serving import Serving

#: Further runs at most, whatever a policy says, and the longest pause, in seconds.
RETRIES_MAX, PAUSE_MAX = 20, 24 * 60 * 60.0
#: The longest pause, in seconds, for which a worker holds the delivery.
HELD_MAX = 1.0
_ERROR_BYTES_MAX = 256
#: Seconds for which a message is put aside again that the broker does not take.
_ASIDE_WITHIN, _ASIDE_AGAIN_AFTER = 60.0, 1.0
_COUNT, _ERROR = "x-replybus-retries", "x-replybus-retry-error-"


@dataclass(frozen=True)
class Retry:
    """How often, and after which pauses, a command is run again whose handler raises `RetryLater`.

    Each pause is twice the one before, up to the longest.
    """

    #: Runs after the first: 1 to 20.
    max: int = 5
    #: Seconds of the pause after the first run, and of the longest one: 1 ms to a day.
    base: float = 0.2
    max_delay: float = 60.0
    #: Each pause is a random part of what it would be: what failed together does not come back so.
    jitter: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.max <= RETRIES_MAX:
            raise ValueError(f"retry: {self.max} further runs; 1 to {RETRIES_MAX} are allowed")
        for seconds in (self.base, self.max_delay):
            if not 0.001 <= seconds <= PAUSE_MAX:
                raise ValueError(f"retry: a pause of {seconds} s; 1 ms to a day are allowed")

    def pause(self, failed: int) -> float:
        """Seconds of the pause after so many runs that failed."""
        doublings = min(max(0, failed - 1), 31)
        pause = min(self.base * (1 << doublings), self.max_delay)
        return pause * random.random() if self.jitter else pause


class Retries:
    """The runs of one command, those of its message before this delivery included."""

    def __init__(self, message: Message, policy: Retry, until: float | None) -> None:
        self._policy, self._until = policy, until
        # What waited elsewhere would come behind later calls of its key.
        self._longest = PAUSE_MAX if message.partition is None else HELD_MAX
        #: Runs of earlier deliveries; one that says them illegibly had more than are allowed.
        self.before = self.runs = _runs_before(message)
        self._errors: list[tuple[int, str]] = []
        for run in range(1, min(self.before, RETRIES_MAX + 1) + 1):
            error = as_text(message.headers.get(f"{_ERROR}{run}"))
            if error is not None:
                self._errors.append((run, _shortened(error)))
        #: When the next run is due for which it is put aside: seconds since the Unix epoch.
        self.due: float | None = None
        #: It would be run again, and was as often as is allowed.
        self.is_exhausted = False

    @property
    def until(self) -> float | None:
        """When a further run is of no use, by the loop's clock."""
        return self._until

    def failed(self, error: RetryLater) -> float | None:
        """Notes a run that failed. Returns the pause before the next one, if that is held."""
        self.runs += 1
        if self.runs <= RETRIES_MAX + 1:
            self._errors.append((self.runs, _text_of(error)))
        if self.runs > self._policy.max:
            self.is_exhausted = True
            return None
        asked = error.after
        pause = self._policy.pause(self.runs) if asked is None else asked
        pause = min(pause, self._longest)
        is_held = pause <= HELD_MAX
        waits = pause if is_held else math.ceil(pause)
        # Late is as good as never: the caller is told now.
        if self._until is not None and asyncio.get_running_loop().time() + waits >= self._until:
            return None
        if not is_held:
            self.due = time.time() + pause
            return None
        return pause

    def note_in(self, headers: dict[str, Any]) -> None:
        """Writes down how often it was run, and of what each run failed."""
        for name in [name for name in headers if name.startswith((_COUNT, _ERROR))]:
            del headers[name]
        headers[_COUNT] = str(self.runs)
        headers.update({f"{_ERROR}{run}": error for run, error in self._errors})


def no_run_after(read: Envelope) -> float | None:
    """When a run is of no use any more, by the loop's clock."""
    known = [moment for moment in (read.deadline, read.start_by) if moment is not None]
    if not known:
        return None
    return min(known) - (0.0 if read.message.expiration is not None else CLOCK_ALLOWANCE)


async def put_aside(serving: Serving, read: Envelope, retries: Retries) -> bool:
    """Publishes a message once more, to wait on the broker for its next run.

    False if the broker does not take it; while it is away that is tried again, for as long as a run
    can be of use.
    """
    due = retries.due or time.time()
    headers = once_more(read)
    retries.note_in(headers)
    headers["repeated"] = True
    properties = read.message.properties(headers, delivery_mode=2)
    queue = serving.service.queue
    to = Destination("", serving.names.full(queue))
    loop = asyncio.get_running_loop()
    until = loop.time() + _ASIDE_WITHIN
    until = until if retries.until is None else min(until, retries.until)
    delays, body = serving.bus.delays, read.message.body
    while True:
        try:
            within = max(0.001, until - loop.time())
            await delays.publish(to, body, properties, due=due, within=within)
        except CallFailed as failed:
            # A second copy is recognised by its claim.
            is_away = failed.code in ("disconnected", "overloaded")
            if not is_away or loop.time() + _ASIDE_AGAIN_AFTER >= until:
                return False
            await asyncio.sleep(_ASIDE_AGAIN_AFTER)
            continue
        keyed = read.key is not None
        note = {"id": read.call_id, "kind": "retry", "name": read.message.kind, "keyed": keyed}
        delays.note(queue, note, due)
        return True


def once_more(read: Envelope) -> dict[str, Any]:
    """The headers of a message that is published again, to wait: what its expiration said is in them,
    and nothing is that the broker would act on.
    """
    headers = unrouted(read.message.headers)
    if "deadline" not in headers and read.start_by is not None:
        now = int(time.time() * 1000)
        left = max(0.0, read.start_by - asyncio.get_running_loop().time())
        headers["deadline"] = str(now + int(left * 1000))
        if read.deadline is None:
            # Nobody waits until then.
            headers["x-replybus-due"] = str(now)
    return headers


def unrouted(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Headers without those by which the broker would send the message elsewhere as well."""
    return {name: value for name, value in headers.items() if name not in ("CC", "BCC")}


def _runs_before(message: Message) -> int:
    if _COUNT not in message.headers:
        return 0
    text = as_text(message.headers[_COUNT]) or ""
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    return int(text) if is_number else RETRIES_MAX + 1


def _text_of(error: RetryLater) -> str:
    """An error for people: a text as it is, all else in JSON."""
    if isinstance(error.error, str):
        return _shortened(error.error)
    try:
        return _shortened(json.dumps(error.error, ensure_ascii=False, separators=(",", ":")))
    except (TypeError, ValueError):
        return "an error that has no text form"


def _shortened(text: str) -> str:
    plain = "".join(c for c in text if c.isprintable())
    return plain.encode(errors="replace")[:_ERROR_BYTES_MAX].decode(errors="ignore")
