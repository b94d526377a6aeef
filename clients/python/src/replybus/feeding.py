"""The caller's end of a stream of arguments: a call that sends one, produced for whoever reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from . import replies, stream_frames
from .call import Call, Waiting, publish
from .errors import CallFailed
from .inbox import append
from .producer import Producer, Way
from .request import Request
from .silence import Silence
from .stream_frames import WINDOW_MAX, Credit, FeedCredit, Kind

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")

#: The others that are told to wait: there are as many as a call has further copies.
_OTHERS_MAX = 8
_OVER = "its caller has left, or has its answer"


class FeedCall(Generic[T]):
    """A call one of whose arguments is a stream: awaited it is made, the stream sent as fast as the
    handler reads it, and its reply waited for. Its timeout is that of all of it.

    A stream is sent once: if its worker dies in the middle, the call fails as `interrupted`.
    """

    def __init__(
        self, bus: Bus, call: Call[T], items: AsyncIterable[Any] | Iterable[Any], window: int
    ) -> None:
        self._bus, self._call, self._items = bus, call, items
        self._window = min(max(1, window), WINDOW_MAX)

    def __await__(self) -> Generator[Any, None, T]:
        """The value that the handler returned.

        Raises:
            HandlerError: the handler's own error.
            CallFailed: anything else; says whether the work may have been executed.
        """
        return self._make().__await__()

    async def _make(self) -> T:
        request = self._call.prepare()
        request.headers["x-replybus-stream"] = str(self._window)
        feeding = _Feeding(self._bus, request, self._items, self._window)
        replying: asyncio.Task[Any] | None = None
        with Waiting(self._bus, request, on_credit=feeding.heard) as waiting:
            try:
                await publish(self._bus, request)
                replying = asyncio.create_task(waiting.reply())
                awaited: set[asyncio.Future[Any]] = {replying, feeding.failed}
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if feeding.failed.done():
                    # What is wrong here says more than what a handler makes of it.
                    self._bus.cancels.tell(request.method.queue, request.call_id, request.left())
                    raise feeding.failed.result()
                return cast(T, await replying)
            except CallFailed as failed:
                # Whichever run says so: a handler was called, or may have been.
                failed.may_have_executed |= feeding.has_begun
                raise
            finally:
                if replying is not None:
                    replying.cancel()
                await feeding.close()


class _Feeding:
    """What one call hears of those who would read its stream: one of them does, and the others, runs
    of further copies, are told to wait.
    """

    def __init__(
        self,
        bus: Bus,
        request: Request,
        items: AsyncIterable[Any] | Iterable[Any],
        window: int,
    ) -> None:
        self._bus, self._request, self._items, self._window = bus, request, items, window
        self._producer: _Fed | None = None
        self._reader: tuple[str, int] | None = None
        self._others: dict[str, FeedCredit] = {}
        self._telling: set[asyncio.Task[None]] = set()
        #: Why the stream, and so the call, can come to nothing.
        self.failed: asyncio.Future[CallFailed] = asyncio.get_running_loop().create_future()

    @property
    def has_begun(self) -> bool:
        """True once a handler may have been called."""
        return self._reader is not None

    def heard(self, said: FeedCredit) -> None:
        """Takes in a credit. Who gives the first is the reader."""
        if self._producer is not None and self._reader == (said.stream_id, said.reader):
            credit = Credit(said.stream_id, said.reader, said.taken, said.again, said.gone)
            self._tell(self._producer.heard(credit))
        elif said.gone:
            self._others.pop(said.stream_id, None)
        elif not self._bus.names.is_inbox(said.inbox):
            # What anybody names would be written to.
            return
        elif self._reader is None:
            self._begin(said)
        else:
            if said.holds_claim:
                text = "another worker would begin it anew: the one that ran it has lost it"
                self.fail(text)
            if said.stream_id in self._others or len(self._others) < _OTHERS_MAX:
                self._others[said.stream_id] = said
                self._tell(self._answer(said, stream_frames.write(Kind.WAIT, said.reader, 0)))

    def fail(self, text: str) -> None:
        """Gives the call up. The first is heard."""
        if not self.failed.done():
            self.failed.set_result(CallFailed("interrupted", text, self.has_begun))

    def _begin(self, reader: FeedCredit) -> None:
        self._reader = (reader.stream_id, reader.reader)
        way = Way(reader.inbox, reader.stream_id, reader.reader)
        inbox, content_type = self._bus.inbox, self._request.content_type
        silence = Silence(lambda: not inbox.is_read)
        self._producer = _Fed(self, self._bus.redis, way, self._window, content_type, silence)
        self._producer.start(_items(self._items), None, self._over)

    def _over(self) -> None:
        if self._producer is not None and self._producer.is_silent:
            self.fail("its handler was not heard for too long")

    async def _answer(self, reader: FeedCredit, frame: bytes) -> None:
        await append(self._bus.redis, reader.inbox, reader.stream_id, frame)

    def _tell(self, saying: Any) -> None:
        task = asyncio.create_task(saying)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Ends the stream, and tells those who would read it as well that it will not come."""
        failed = CallFailed("interrupted", _OVER, True)
        if self._producer is not None:
            await self._producer.stop(failed)
        fault = replies.fault(self._request.content_type, failed)
        for other in self._others.values():
            await self._answer(other, stream_frames.write(Kind.FAULT, other.reader, 0, fault))
        for task in list(self._telling):
            task.cancel()


class _Fed(Producer):
    def __init__(self, feeding: _Feeding, *args: Any) -> None:
        super().__init__(*args)
        self._feeding = feeding

    def _end_for(self, error: BaseException) -> bytes:
        text = f"its stream could not be sent: {type(error).__name__}: {error}"
        self._feeding.fail(text)
        failed = CallFailed("interrupted", text, True)
        return self._end(Kind.FAULT, replies.fault(self._content_type, failed))


async def _items(items: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[Any]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
