"""A stream as a worker produces it: as far as its reader has room, and kept until the reader has it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from . import context, replies, stream_frames
from .codec import REPLY_BYTES_MAX, ContentType, encode
from .envelope import Envelope
from .errors import CallFailed, HandlerError
from .inbox import append
from .outcome import Outcome
from .service import Served
from .silence import Silence
from .stream_frames import FRAME_HEAD, FRAMES_MAX, ITEM_HEAD, WINDOW_MAX, Credit, Kind
from .tasks import ended, is_end

if TYPE_CHECKING:
    from .serving import Serving

log = logging.getLogger(__name__)

#: Seconds: a sign of life comes so often, and a reader that is not heard for so long is gone.
_SIGN_EVERY, _READER_SILENCE = 2.0, 30.0
#: Seconds for the last frames of a service that stops.
_LAST_WITHIN = 3.0
#: Bytes of small items that leave in one frame, and how many items are taken as they are ready.
_FRAME_BYTES, _READY_MAX = 16 * 1024, 256
#: Streams that one service produces at a time.
_STREAMS_MAX = 1024


async def opened(serving: Serving, served: Served, read: Envelope, attempt: int) -> Outcome:
    """Opens a stream: the reply says where its reader is heard."""
    from .runs import arguments_of, context_of

    arguments = arguments_of(served, read)
    asked = context.as_text(read.message.headers.get("x-replybus-stream", "")) or ""
    is_number = asked.isascii() and asked.isdecimal() and len(asked) < 16
    if read.inbox is None or not (is_number and int(asked) > 0):
        text = "a stream takes an inbox, and the header x-replybus-stream: a number of bytes"
        raise CallFailed("bad_request", text, False)
    if len(serving.producers) >= _STREAMS_MAX:
        raise CallFailed("overloaded", f"{_STREAMS_MAX} streams are produced already", False)
    link = serving.bus.link
    silence = Silence(lambda: not link.is_up)
    way = Way(read.inbox, read.call_id, serving.next_producer())
    window = min(int(asked), WINDOW_MAX)
    producer = Producer(serving.bus.redis, way, window, read.content_type, silence)
    key = (read.call_id, way.number)
    serving.producers[key] = producer
    over = contextlib.ExitStack()
    over.callback(serving.producers.pop, key, None)
    over.enter_context(serving.held.running(read.call_id, producer.cancel))
    of = context_of(serving, served, read, attempt)
    of.deadline = None
    with context.entered(of):
        producer.start(served.items(arguments), of, over.close)
    where = {"queue": serving.control_queue, "producer": way.number}
    return Outcome(replies.value(read.content_type, where, 0))


@dataclass(frozen=True)
class Way:
    """Where the frames of a stream go, and what tells them from those of others."""

    inbox: str
    #: The id that they are under.
    name: str
    number: int


class Producer:
    """One stream."""

    def __init__(
        self,
        redis: Redis,
        way: Way,
        window: int,
        content_type: ContentType,
        silence: Silence,
    ) -> None:
        #: That of its reader.
        self._silence = silence
        self._redis, self._way, self._window = redis, way, window
        self._content_type = content_type
        #: It ended because its reader was not heard for too long.
        self.is_silent = False
        #: Frames that the reader has not taken, each with the number behind its last item.
        self._kept: deque[tuple[int, bytes]] = deque()
        self._bytes, self._next = 0, 0
        self._changed = asyncio.Event()
        self._gone = False
        self._task: asyncio.Task[None] | None = None

    def start(
        self,
        items: AsyncIterator[Any],
        of: context.Context | None,
        over: Callable[[], None],
    ) -> None:
        """Begins to produce, within a context if there is one; `over` is called when it has ended."""
        self._task = asyncio.create_task(self._run(items, of, over))

    async def stop(self, failed: CallFailed) -> None:
        """Ends the stream with a fault."""
        if self._task is None or self._task.done():
            return
        await ended(self._task)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WITHIN):
                fault = replies.fault(self._content_type, failed)
                await self._add(self._end(Kind.FAULT, fault))

    def cancel(self) -> None:
        """Ends it: its caller has given it up."""
        self._gone = True
        self._changed.set()

    async def heard(self, credit: Credit) -> None:
        """Takes what its reader says."""
        if credit.taken > self._next:
            return
        self._silence.broken()
        self._gone |= credit.gone
        while self._kept and self._kept[0][0] <= credit.taken:
            self._bytes -= len(self._kept.popleft()[1]) - FRAME_HEAD
        self._changed.set()
        if credit.again:
            for _, frame in list(self._kept):
                await self._add(frame)

    async def _run(
        self,
        items: AsyncIterator[Any],
        of: context.Context | None,
        over: Callable[[], None],
    ) -> None:
        signs = asyncio.create_task(self._give_signs())
        producing = asyncio.create_task(self._produce(items, of))
        try:
            while not self._gone and not (producing.done() and not self._kept):
                await self._wait(producing)
        finally:
            self.cancel()
            await ended(signs, producing)
            over()

    async def _wait(self, producing: asyncio.Task[None]) -> None:
        self._changed.clear()
        changed = asyncio.create_task(self._changed.wait())
        waited = {changed} if producing.done() else {changed, producing}
        await asyncio.wait(waited, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        if self._silence.look() > _READER_SILENCE and not self._gone:
            self.is_silent = self._gone = True

    async def _produce(self, items: AsyncIterator[Any], of: context.Context | None) -> None:
        content_type = self._content_type
        try:
            with contextlib.nullcontext() if of is None else context.entered(of):
                async for ready in _together(items):
                    await self._send(encode(content_type, item) for item in ready)
                    if self._gone:
                        return
            end = self._end(Kind.END)
        except (Exception, asyncio.CancelledError) as error:
            if is_end(error):
                raise
            end = self._end_for(error)
        finally:
            if (close := getattr(items, "aclose", None)) is not None:
                await close()
        self._keep(end, 1)
        await self._add(end)

    def _end_for(self, error: BaseException) -> bytes:
        """The end of a stream whose items failed."""
        content_type = self._content_type
        if isinstance(error, HandlerError):
            try:
                return self._end(Kind.HANDLER_ERROR, encode(content_type, error.error))
            except ValueError as unwritten:
                failed = CallFailed("bad_reply", f"its error can't be sent: {unwritten}", True)
        elif isinstance(error, ValueError):
            failed = CallFailed("bad_reply", f"an item can't be sent: {error}", True)
        else:
            log.error("the handler of a stream failed", exc_info=error)
            failed = CallFailed("panicked", "the handler panicked", True)
        return self._end(Kind.FAULT, replies.fault(content_type, failed))

    async def _send(self, items: Iterable[bytes]) -> None:
        """Sends what is ready, small items together: never more ahead than the window and one item."""
        left = deque(items)
        while left:
            await self._has_room()
            if self._gone:
                return
            # A reader speaks when half of the window was taken, and a frame is forgotten as a whole.
            room = min(self._window - self._bytes, self._window // 4, _FRAME_BYTES)
            batch = [left.popleft()]
            size = ITEM_HEAD + len(batch[0])
            while left and size + ITEM_HEAD + len(left[0]) <= room:
                batch.append(left.popleft())
                size += ITEM_HEAD + len(batch[-1])
            await self._push(batch)

    async def _push(self, items: list[bytes]) -> None:
        if any(len(item) > REPLY_BYTES_MAX for item in items):
            raise ValueError(f"it has more than {REPLY_BYTES_MAX} bytes")
        frame = stream_frames.write_items(self._way.number, self._next, items)
        self._keep(frame, len(items))
        await self._add(frame)

    def _keep(self, frame: bytes, count: int) -> None:
        self._next += count
        # Readers count what is behind the heads.
        self._bytes += len(frame) - FRAME_HEAD
        self._kept.append((self._next, frame))

    def _end(self, kind: Kind, rest: bytes = b"") -> bytes:
        return stream_frames.write(kind, self._way.number, self._next, rest)

    async def _has_room(self) -> None:
        while not self._gone and (self._bytes >= self._window or len(self._kept) >= FRAMES_MAX):
            self._changed.clear()
            await self._changed.wait()

    async def _give_signs(self) -> None:
        while True:
            await self._add(stream_frames.write_items(self._way.number, self._next, []))
            await asyncio.sleep(_SIGN_EVERY)

    async def _add(self, frame: bytes) -> None:
        await append(self._redis, self._way.inbox, self._way.name, frame)


async def _together(items: AsyncIterator[Any]) -> AsyncIterator[list[Any]]:
    """The items, each with those that are ready with it."""
    iterator = aiter(items)
    step: asyncio.Future[Any] | None = None
    ready: list[Any] = []
    try:
        while True:
            step = asyncio.ensure_future(anext(iterator))
            # It comes to its end now, unless it waits for something.
            await asyncio.sleep(0)
            if ready and (not step.done() or len(ready) >= _READY_MAX):
                yield ready
                ready = []
            try:
                ready.append(await step)
            except StopAsyncIteration:
                break
            except (Exception, asyncio.CancelledError) as error:
                if ready and not is_end(error):
                    yield ready
                raise
        if ready:
            yield ready
    finally:
        if step is not None and not step.done():
            step.cancel()
            await asyncio.wait([step])
