"""A stream as a worker produces it: as far as its reader has room, and kept until the reader has it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from . import context, replies, stream_frames
from .claims import INBOX_ENTRIES
from .codec import REPLY_BYTES_MAX, encode
from .envelope import Envelope
from .errors import CallFailed, HandlerError
from .inbox import FAILURES
from .outcome import Outcome
from .service import Served
from .stream_frames import FRAME_HEAD, FRAMES_MAX, WINDOW_MAX, Credit, Kind
from .tasks import ended

if TYPE_CHECKING:
    from .serving import Serving

log = logging.getLogger(__name__)

#: Seconds: a sign of life comes so often, and a reader that is not heard for so long is gone.
_SIGN_EVERY, _READER_SILENCE = 2.0, 30.0
#: Seconds for the last frames of a service that stops.
_LAST_WITHIN = 3.0
#: Streams that one service produces at a time.
_STREAMS_MAX = 1024


async def opened(serving: Serving, served: Served, read: Envelope, attempt: int) -> Outcome:
    """Opens a stream: the reply says where its reader is heard."""
    from .runs import arguments_of

    arguments = arguments_of(served, read)
    asked = context.as_text(read.message.headers.get("x-replybus-stream", "")) or ""
    is_number = asked.isascii() and asked.isdecimal() and len(asked) < 16
    if read.inbox is None or not (is_number and int(asked) > 0):
        text = "a stream takes an inbox, and the header x-replybus-stream: a number of bytes"
        raise CallFailed("bad_request", text, False)
    if len(serving.producers) >= _STREAMS_MAX:
        raise CallFailed("overloaded", f"{_STREAMS_MAX} streams are produced already", False)
    producer = Producer(serving, read, min(int(asked), WINDOW_MAX))
    serving.producers[read.call_id, producer.number] = producer
    of = read.context(attempt)
    of.deadline = None
    with context.entered(of):
        producer.start(served.items(arguments), of)
    where = {"queue": serving.control_queue, "producer": producer.number}
    return Outcome(replies.value(read.content_type, where, 0))


class Producer:
    """One stream."""

    def __init__(self, serving: Serving, read: Envelope, window: int) -> None:
        self._serving, self._read, self._window = serving, read, window
        self.number = serving.next_producer()
        #: Frames that the reader has not taken, each with the number behind its last item.
        self._kept: deque[tuple[int, bytes]] = deque()
        self._bytes, self._next = 0, 0
        self._changed = asyncio.Event()
        self._heard_at = asyncio.get_running_loop().time()
        self._gone = False
        self._task: asyncio.Task[None] | None = None

    def start(self, items: AsyncIterator[Any], of: context.Context) -> None:
        """Begins to produce."""
        self._task = asyncio.create_task(self._run(items, of))

    async def stop(self) -> None:
        """Ends the stream with the fault `interrupted`."""
        if self._task is None or self._task.done():
            return
        await ended(self._task)
        failed = CallFailed("interrupted", "the service stops", True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WITHIN):
                await self._add(
                    self._end(Kind.FAULT, replies.fault(self._read.content_type, failed))
                )

    def cancel(self) -> None:
        """Ends it: its caller has given it up."""
        self._gone = True
        self._changed.set()

    async def heard(self, credit: Credit) -> None:
        """Takes what its reader says."""
        if credit.taken > self._next:
            return
        self._heard_at = asyncio.get_running_loop().time()
        self._gone |= credit.gone
        while self._kept and self._kept[0][0] <= credit.taken:
            self._bytes -= len(self._kept.popleft()[1]) - FRAME_HEAD
        self._changed.set()
        if credit.again:
            for _, frame in list(self._kept):
                await self._add(frame)

    async def _run(self, items: AsyncIterator[Any], of: context.Context) -> None:
        signs = asyncio.create_task(self._give_signs())
        producing = asyncio.create_task(self._produce(items, of))
        try:
            with self._serving.held.running(self._read.call_id, self.cancel):
                while not self._gone and not (producing.done() and not self._kept):
                    await self._wait(producing)
        finally:
            self.cancel()
            await ended(signs, producing)
            self._serving.producers.pop((self._read.call_id, self.number), None)

    async def _wait(self, producing: asyncio.Task[None]) -> None:
        self._changed.clear()
        changed = asyncio.create_task(self._changed.wait())
        waited = {changed} if producing.done() else {changed, producing}
        await asyncio.wait(waited, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        silent = asyncio.get_running_loop().time() - self._heard_at
        self._gone |= silent > _READER_SILENCE

    async def _produce(self, items: AsyncIterator[Any], of: context.Context) -> None:
        content_type = self._read.content_type
        try:
            with context.entered(of):
                async for item in items:
                    await self._has_room()
                    if self._gone:
                        return
                    await self._push([encode(content_type, item)])
            end = self._end(Kind.END)
        except HandlerError as error:
            end = self._end(Kind.HANDLER_ERROR, encode(content_type, error.error))
        except ValueError as error:
            failed = CallFailed("bad_reply", f"an item can't be sent: {error}", True)
            end = self._end(Kind.FAULT, replies.fault(content_type, failed))
        except Exception:
            log.exception("the handler of a stream failed")
            failed = CallFailed("panicked", "the handler panicked", True)
            end = self._end(Kind.FAULT, replies.fault(content_type, failed))
        finally:
            if (close := getattr(items, "aclose", None)) is not None:
                await close()
        self._keep(end, 1)
        await self._add(end)

    async def _push(self, items: list[bytes]) -> None:
        if any(len(item) > REPLY_BYTES_MAX for item in items):
            raise ValueError(f"it has more than {REPLY_BYTES_MAX} bytes")
        frame = stream_frames.write_items(self.number, self._next, items)
        self._keep(frame, len(items))
        await self._add(frame)

    def _keep(self, frame: bytes, count: int) -> None:
        self._next += count
        # Readers count what is behind the heads.
        self._bytes += len(frame) - FRAME_HEAD
        self._kept.append((self._next, frame))

    def _end(self, kind: Kind, rest: bytes = b"") -> bytes:
        return stream_frames.write(kind, self.number, self._next, rest)

    async def _has_room(self) -> None:
        while not self._gone and (self._bytes >= self._window or len(self._kept) >= FRAMES_MAX):
            self._changed.clear()
            await self._changed.wait()

    async def _give_signs(self) -> None:
        while True:
            await asyncio.sleep(_SIGN_EVERY)
            await self._add(stream_frames.write_items(self.number, self._next, []))

    async def _add(self, frame: bytes) -> None:
        # What is lost the reader asks for again.
        with contextlib.suppress(*FAILURES):
            await self._serving.bus.redis.xadd(
                self._read.inbox or "",
                {"id": self._read.call_id, "frame": frame},
                maxlen=INBOX_ENTRIES,
                approximate=True,
                nomkstream=True,
            )
