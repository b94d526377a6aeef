"""The deliveries of one partition, for as long as one consumer has it: those of one key one after the
other.

One that is given back ends the line: what is behind it must not be run before it. All that is not done
then is kept as it is, until the channel is closed, with which it is back in its place.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .context import as_text
from .message import Message
from .tasks import ended

T = TypeVar("T")

PARTITIONS_MAX = 256
HEADER = "x-replybus-partition"
_PLACE = re.compile(r"([0-9]{1,10})/([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True)
class Place:
    """The key of a call, by its hash, among so many partitions."""

    key: int
    partitions: int

    @property
    def partition(self) -> int:
        """The partition, counted from 0."""
        return self.key % self.partitions

    @classmethod
    def of(cls, message: Message) -> Place | None:
        """The place that a message says it has."""
        found = _PLACE.fullmatch(as_text(message.headers.get(HEADER)) or "")
        if found is None:
            return None
        key, partitions = int(found[1]), int(found[2])
        if key > 0xFFFF_FFFF or not 1 <= partitions <= PARTITIONS_MAX:
            return None
        return cls(key, partitions)


def misplaced(message: Message, partitions: int) -> str | None:
    """Why a message that came to a partition is not to be run: it would be out of its order."""
    place, partition = Place.of(message), message.partition
    if place is None:
        said = "its header says no key"
    elif place.partitions != partitions:
        by = place.partitions
        said = f"its caller divides the calls by {by}, the service by {partitions}"
    elif place.partition != partition:
        said = f"its key is of partition {place.partition}"
    else:
        return None
    return f"{HEADER}: it came to partition {partition}, and {said}"


class Intake(Generic[T]):
    """What a consumer is given, in the order in which it came: what comes before it may be taken waits,
    and whatever comes afterwards is behind that.
    """

    def __init__(self, take: Callable[[T], None]) -> None:
        self._take = take
        self._waiting: list[T] | None = []

    async def deliver(self, delivered: T) -> None:
        """Takes it, or has it wait. There is no step of the loop in between in which another could
        come first.
        """
        if self._waiting is None:
            self._take(delivered)
        else:
            self._waiting.append(delivered)

    def open(self) -> None:
        """Takes what waits, and from now on what comes."""
        waiting, self._waiting = self._waiting or [], None
        for delivered in waiting:
            self._take(delivered)


#: Takes a message to its end, and acknowledges it; false if it is to be given back.
Work = Callable[[Message], Awaitable[bool]]


class Line:
    """What one consumer of a partition holds; no more than its prefetch."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        #: Of each key of which one runs: those that wait for it.
        self._waiting: dict[int, deque[tuple[Message, Work]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        #: Nothing more is begun.
        self.is_ending = False
        self.changed = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """True while nothing of it runs."""
        return not self._running

    @property
    def running(self) -> int:
        """Deliveries that are worked on."""
        return len(self._running)

    def add(self, message: Message, work: Work) -> None:
        """Takes the next delivery of the queue."""
        place = Place.of(message)
        # What has no place is refused, and is nobody's predecessor.
        key = place.key if place is not None and place.partition == self._partition else None
        if key is None:
            self._begin(message, work, None)
        elif key in self._waiting:
            self._waiting[key].append((message, work))
        else:
            self._waiting[key] = deque()
            self._begin(message, work, key)

    def end(self) -> None:
        """Begins no more of it."""
        self.is_ending = True
        self.changed.set()

    async def abort(self) -> None:
        """Ends what runs, in the middle."""
        self.end()
        await ended(*self._running)

    def _begin(self, message: Message, work: Work, key: int | None) -> None:
        if self.is_ending:
            return
        task = asyncio.create_task(self._run(message, work, key))
        self._running.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.changed.set()

    async def _run(self, message: Message, work: Work, key: int | None) -> None:
        is_over = False
        try:
            is_over = await work(message)
        finally:
            # Also of one that was cancelled: what waits behind it would wait for ever.
            if not is_over:
                self.end()
        if not is_over or key is None:
            return
        if waiting := self._waiting[key]:
            self._begin(*waiting.popleft(), key)
        else:
            del self._waiting[key]
