"""How far a job is: as its handler says it, on its way into the record, and out of it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import msgpack

from .claims import Claim, Claims
from .inbox import FAILURES

log = logging.getLogger(__name__)

#: Seconds between two notes of how far a job is, and between two looks at them.
PROGRESS_EVERY = 0.25
#: Bytes of a note.
_NOTE_BYTES_MAX = 256
_COUNT_MAX = (1 << 64) - 1


@dataclass(frozen=True)
class Progress:
    """How far a job is, as its handler said last.

    Raises:
        ValueError: a count is no integer from 0 to 2^64 - 1.
    """

    #: What is done, in units of the handler's choice.
    done: int
    #: What there is to do, if that is known.
    total: int | None = None
    #: Words for people, up to 256 bytes; of more the end is cut off.
    note: str = ""

    def __post_init__(self) -> None:
        for count in (self.done, self.total or 0):
            is_count = isinstance(count, int) and not isinstance(count, bool)
            if not (is_count and 0 <= count <= _COUNT_MAX):
                raise ValueError(f"progress counts in integers that are not negative: {count!r}")
        cut = self.note.encode(errors="replace")[:_NOTE_BYTES_MAX].decode(errors="ignore")
        object.__setattr__(self, "note", cut)

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1, if it is known."""
        return min(self.done / self.total, 1.0) if self.total else None

    def to_dict(self) -> dict[str, Any]:
        """What it is on the wire."""
        return {"done": self.done, "total": self.total, "note": self.note}

    def encode(self) -> bytes:
        """The form in which it is kept."""
        return bytes(msgpack.packb(self.to_dict()))

    @classmethod
    def decode(cls, noted: bytes) -> Progress | None:
        """Reads that form; `None` of what is none: anybody can have written it."""
        try:
            said = msgpack.unpackb(noted)
            return cls(said["done"], said.get("total"), said.get("note", ""))
        except (AttributeError, KeyError, TypeError, ValueError, msgpack.UnpackException):
            return None


class Reports:
    """What the handler of one run reports. Only the newest counts."""

    def __init__(self) -> None:
        self.newest: Progress | None = None
        self._loop = asyncio.get_running_loop()
        self._is_new = asyncio.Event()

    def report(self, progress: Progress) -> None:
        """Notes one, from any thread."""
        self.newest = progress
        self._loop.call_soon_threadsafe(self._is_new.set)

    async def write(self, claims: Claims, claim: Claim) -> None:
        """Writes them into the record for as long as it is not cancelled, the newest each time."""
        while True:
            await self._is_new.wait()
            self._is_new.clear()
            if self.newest is not None:
                try:
                    await claims.note(claim, self.newest.encode())
                except FAILURES as error:
                    log.debug("progress is noted later: %s", type(error).__name__)
                    self._is_new.set()
            await asyncio.sleep(PROGRESS_EVERY)
