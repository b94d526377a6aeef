"""A call whose answer is a stream, and the reader of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .call import Waiting, publish
from .errors import CallFailed
from .link import properties
from .method import CallOptions, Method
from .reading import Reading
from .request import Request, prepare
from .stream_frames import WINDOW, WINDOW_MAX, Credit

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")

#: Seconds that a credit may take.
_CREDIT_WITHIN = 5.0


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
        except BaseException as error:
            await reader.close(is_given_up=isinstance(error, asyncio.CancelledError))
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


class _Reader(Reading):
    def __init__(self, bus: Bus, request: Request, window: int) -> None:
        super().__init__(request.content_type, request.call_id, window, bus.is_deaf)
        self._bus, self._request = bus, request
        self._waiting = Waiting(bus, request, self.take)
        self._queue = ""

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
        self._queue, self.producer = queue, producer
        self.keep()

    async def _say(self, taken: int, *, again: bool, gone: bool) -> None:
        credit = Credit(self._request.call_id, self.producer, taken, again, gone)
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

    async def close(self, *, is_given_up: bool = False) -> None:
        """Ends it; `is_given_up` if that was before it was open: its producer may not be known."""
        try:
            await super().close()
        finally:
            self._waiting.__exit__(None)
            if is_given_up:
                request = self._request
                self._bus.cancels.tell(request.method.queue, request.call_id, request.left())
