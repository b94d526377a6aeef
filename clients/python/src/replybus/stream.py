"""A call whose answer is a stream, and the reader of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from . import replies, stream_frames
from .call import Waiting, publish
from .codec import decode
from .errors import CallFailed, HandlerError
from .link import properties
from .method import CallOptions, Method
from .request import Request, prepare
from .stream_frames import WINDOW, WINDOW_MAX, Credit, Frame, Kind

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")

#: Seconds: a reader says something so often, asks again after so much silence, and gives up after.
_CREDIT_EVERY, _ASK_AFTER, _SILENCE_MAX = 5.0, 6.0, 20.0
#: Seconds between two times that it asks, and that a credit may take.
_ASK_EVERY, _CREDIT_WITHIN = 1.0, 5.0
_FRAMES_TAKEN = 32


class StreamCall(Generic[T]):
    """A call of a stream: open it with `async with`, and read what it gives with `async for`.

    Its timeout is that of the opening. Left, it ends the handler's stream.
    """

    def __init__(
        self,
        bus: Bus,
        method: Method,
        arguments: Mapping[str, Any],
        options: CallOptions,
        window: int = WINDOW,
    ) -> None:
        self._bus, self._method = bus, method
        self._arguments, self._options = arguments, options
        self._window = min(max(1, window), WINDOW_MAX)
        self._reader: _Reader | None = None

    async def __aenter__(self) -> AsyncIterator[T]:
        """Opens the stream.

        Raises:
            HandlerError: the handler's own error.
            CallFailed: it could not be opened.
        """
        options, trace = self._options, self._bus.trace
        request = prepare(self._method, self._arguments, options, trace, is_awaited=True)
        request.headers["x-replybus-stream"] = str(self._window)
        reader = self._reader = _Reader(self._bus, request, self._window)
        try:
            await reader.open()
        except BaseException:
            reader.end()
            raise
        return cast(AsyncIterator[T], reader.items())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._reader is not None:
            await self._reader.close()

    async def __aiter__(self) -> AsyncIterator[T]:
        async with self as items:
            async for item in items:
                yield item


class _Reader:
    def __init__(self, bus: Bus, request: Request, window: int) -> None:
        self._bus, self._request, self._window = bus, request, window
        self._waiting = Waiting(bus, request, self._take)
        self._frames: deque[Frame] = deque()
        self._arrived = asyncio.Event()
        self._queue, self._producer = "", 0
        #: Items that were read, and that were taken by whoever reads.
        self._expected = self._taken = 0
        self._bytes_taken = self._frames_taken = 0
        self._is_over = False
        now = asyncio.get_running_loop().time()
        self._heard_at = self._told_at = self._asked_at = now

    async def open(self) -> None:
        self._waiting.__enter__()
        await publish(self._bus, self._request)
        opened = await self._waiting.reply()
        queue = opened.get("queue") if isinstance(opened, dict) else None
        producer = opened.get("producer") if isinstance(opened, dict) else None
        control = self._bus.names.control
        if not (isinstance(queue, str) and isinstance(producer, int)):
            raise CallFailed("bad_reply", "it opens no stream", True)
        if not queue.startswith(f"{control}."):
            raise CallFailed("bad_reply", "it names no control queue of this bus", True)
        self._queue, self._producer = queue, producer
        self._heard_at = self._told_at = asyncio.get_running_loop().time()

    def _take(self, frame: Frame) -> None:
        # What the producer may be ahead is bounded; what is beyond was not asked for.
        if len(self._frames) < 4 * stream_frames.FRAMES_MAX:
            self._frames.append(frame)
            self._arrived.set()

    async def items(self) -> AsyncIterator[Any]:
        while True:
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
        loop = asyncio.get_running_loop()
        while True:
            while self._frames:
                frame = self._frames.popleft()
                if frame.producer != self._producer:
                    continue
                self._heard_at = loop.time()
                if frame.number > self._expected:
                    # What is behind the gap is sent again with it.
                    await self._ask_again()
                elif frame.number == self._expected and (frame.kind != Kind.ITEMS or frame.rest):
                    return frame
            self._arrived.clear()
            try:
                async with asyncio.timeout(1.0):
                    await self._arrived.wait()
            except TimeoutError:
                await self._tell_if_due()
                silent = loop.time() - self._heard_at
                if silent > _SILENCE_MAX:
                    text = f"nothing was heard of it for {_SILENCE_MAX:.0f} s"
                    raise CallFailed("interrupted", text, True) from None
                if silent > _ASK_AFTER:
                    await self._ask_again()

    def _read_items(self, frame: Frame) -> list[bytes]:
        try:
            items = frame.items()
        except ValueError as error:
            raise CallFailed("bad_reply", str(error), True) from error
        self._expected += len(items)
        return items

    def _decoded(self, data: bytes) -> Any:
        try:
            return decode(self._request.content_type, data)
        except ValueError as error:
            raise CallFailed("bad_reply", f"an item can't be read: {error}", True) from error

    def _raise(self, end: Frame) -> None:
        if end.kind == Kind.HANDLER_ERROR:
            raise HandlerError(self._decoded(end.rest))
        if end.kind == Kind.FAULT:
            replies.read(end.rest, self._request.call_id)

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
        taken = self._expected if again else self._taken
        credit = Credit(self._request.call_id, self._producer, taken, again, gone)
        try:
            await self._bus.link.publish(
                self._queue,
                credit.write(),
                properties(message_type="stream", delivery_mode=1),
                within=_CREDIT_WITHIN,
            )
        except CallFailed as failed:
            if failed.code == "unroutable" and not gone:
                text = "its service is gone"
                raise CallFailed("interrupted", text, True) from failed

    def end(self) -> None:
        self._waiting.__exit__(None)

    async def close(self) -> None:
        if self._queue and not self._is_over:
            self._is_over = True
            await self._tell(gone=True)
        self.end()
