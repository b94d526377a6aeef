"""The reader of a stream: takes its frames in order, and says how far it is.

Whoever has the items may be busy with one for long, so what keeps the stream going is a task beside.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from . import replies, stream_frames
from .codec import ContentType, decode
from .errors import CallFailed, HandlerError
from .silence import Silence
from .stream_frames import Frame, Kind
from .tasks import ended

#: Seconds: a reader says something so often, asks again after so much silence, and gives up after.
_CREDIT_EVERY, _ASK_AFTER, _SILENCE_MAX = 5.0, 6.0, 20.0
#: Seconds between two times that it asks, and that the task beside looks.
_ASK_EVERY, _LOOK_EVERY = 1.0, 1.0
_FRAMES_TAKEN = 32


class Reading(ABC):
    """One stream as it is read; `_say` is the way to its producer."""

    #: The code of what can't be read.
    _unreadable = "bad_reply"

    def __init__(
        self,
        content_type: ContentType,
        name: str,
        window: int,
        is_deaf: Callable[[], bool],
    ) -> None:
        self._content_type, self._name, self._window = content_type, name, window
        self.producer = 0
        self._frames: deque[Frame] = deque()
        self._arrived = asyncio.Event()
        #: Items that were read, and that were taken by whoever reads.
        self._expected = self._taken = 0
        self._bytes_taken = self._frames_taken = 0
        self._is_over = False
        self._failed: CallFailed | None = None
        now = asyncio.get_running_loop().time()
        self._told_at = self._asked_at = now
        self._silence = Silence(is_deaf)
        self._keeping: asyncio.Task[None] | None = None

    @abstractmethod
    async def _say(self, taken: int, *, again: bool, gone: bool) -> None:
        """Says how far it is.

        Raises:
            CallFailed: the producer is gone for sure.
        """

    def keep(self) -> None:
        """Begins to keep the stream going."""
        self._told_at = asyncio.get_running_loop().time()
        self._silence.broken()
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Ends it, if it has not ended: nobody reads any more."""
        if self._keeping is None:
            return
        await ended(self._keeping)
        self._keeping = None
        if not self._is_over:
            self._is_over = True
            await self._tell(gone=True)

    def take(self, frame: Frame) -> None:
        """Takes in a frame."""
        # What the producer may be ahead is bounded; what is beyond was not asked for.
        if len(self._frames) < 4 * stream_frames.FRAMES_MAX:
            self._frames.append(frame)
            self._arrived.set()

    async def begun(self) -> None:
        """Waits until the producer has sent something to this reader.

        Raises:
            CallFailed: it has ended, or nothing comes.
        """
        while True:
            await self._has_frame()
            first = self._frames[0]
            if first.producer == self.producer and first.kind != Kind.WAIT:
                if first.kind == Kind.FAULT:
                    self._is_over = True
                    self._raise(first)
                return
            self._heard(self._frames.popleft())

    async def items(self) -> AsyncIterator[Any]:
        """The items, each as it was sent.

        Raises:
            HandlerError: the producer's own error.
            CallFailed: it ended otherwise, or can't be read.
        """
        while not self._is_over:
            frame = await self._next()
            if frame.kind != Kind.ITEMS:
                self._is_over = True
                await self._tell(gone=True)
                self._raise(frame)
                return
            self._frames_taken += 1
            for item in self._read_items(frame):
                self._taken += 1
                self._bytes_taken += stream_frames.ITEM_HEAD + len(item)
                await self._tell_if_due()
                yield self._decoded(item)

    async def _next(self) -> Frame:
        """The next frame in order that has something in it."""
        while True:
            await self._has_frame()
            frame = self._frames.popleft()
            self._heard(frame)
            if frame.producer != self.producer or frame.kind == Kind.WAIT:
                continue
            if frame.number > self._expected:
                # What is behind the gap is sent again with it.
                await self._ask_again()
            elif frame.number == self._expected and (frame.kind != Kind.ITEMS or frame.rest):
                return frame

    async def _has_frame(self) -> None:
        while not self._frames:
            if self._failed is not None:
                raise self._failed
            self._arrived.clear()
            await self._arrived.wait()

    def _heard(self, frame: Frame) -> None:
        if frame.producer == self.producer:
            self._silence.broken()

    async def _keep(self) -> None:
        while not self._is_over:
            try:
                await self._tell_if_due()
                if self._frames:
                    # What has arrived and is not read yet was heard.
                    self._silence.broken()
                silent = self._silence.look()
                if silent > _SILENCE_MAX:
                    text = f"nothing was heard of it for {_SILENCE_MAX:.0f} s"
                    raise CallFailed("interrupted", text, True)
                if silent > _ASK_AFTER:
                    await self._ask_again()
            except CallFailed as failed:
                self._failed = failed
                self._arrived.set()
                return
            await asyncio.sleep(_LOOK_EVERY)

    def _read_items(self, frame: Frame) -> list[bytes]:
        try:
            items = frame.items()
        except ValueError as error:
            raise CallFailed(self._unreadable, str(error), True) from error
        self._expected += len(items)
        return items

    def _decoded(self, data: bytes) -> Any:
        try:
            return decode(self._content_type, data)
        except ValueError as error:
            text = f"an item can't be read: {error}"
            raise CallFailed(self._unreadable, text, True) from error

    def _raise(self, end: Frame) -> None:
        if end.kind == Kind.HANDLER_ERROR:
            raise HandlerError(self._decoded(end.rest))
        if end.kind == Kind.FAULT:
            replies.read(end.rest, self._name)

    async def _tell_if_due(self) -> None:
        since = asyncio.get_running_loop().time() - self._told_at
        half = self._bytes_taken * 2 >= self._window
        if half or self._frames_taken >= _FRAMES_TAKEN or since > _CREDIT_EVERY:
            await self._tell()

    async def _ask_again(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._asked_at >= _ASK_EVERY:
            self._asked_at = now
            await self._tell(again=True)

    async def _tell(self, *, again: bool = False, gone: bool = False) -> None:
        self._told_at = asyncio.get_running_loop().time()
        self._bytes_taken = self._frames_taken = 0
        await self._say(self._expected if again else self._taken, again=again, gone=gone)
