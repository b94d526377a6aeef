"""The handler's end of a stream of arguments: its reader is there before the handler is called."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from . import context, stream_frames
from .errors import CallError, CallFailed
from .inbox import append
from .names import new_id
from .reading import Reading
from .service import Served
from .stream_frames import WINDOW_MAX, FeedCredit

if TYPE_CHECKING:
    from .envelope import Envelope
    from .serving import Serving

#: Streams that one service reads at a time.
_STREAMS_MAX = 1024


def invited(served: Served, read: Envelope) -> int | None:
    """The bytes that the sender of a stream would be ahead; `None` if the method takes no stream.

    Raises:
        CallFailed: `bad_request`: it takes one and none is sent, or the other way round.
    """
    asked = read.message.headers.get("x-replybus-stream")
    if served.fed is None:
        if asked is not None and served.kind != "stream":
            text = f"method {served.name} takes no stream, and header x-replybus-stream offers one"
            raise CallFailed("bad_request", text, False)
        return None
    text = context.as_text(asked) or ""
    is_number = text.isascii() and text.isdecimal() and len(text) < 16
    if read.inbox is None or not (is_number and int(text) > 0):
        text = (
            f"argument {served.fed} is a stream: it takes an inbox, and the header x-replybus-stream, "
            "how many bytes its sender would be ahead"
        )
        raise CallFailed("bad_request", text, False)
    return min(int(text), WINDOW_MAX)


class Fed(Reading):
    """A stream that a handler reads."""

    _unreadable = "bad_request"

    def __init__(self, serving: Serving, served: Served, read: Envelope, window: int) -> None:
        inbox = serving.bus.inbox
        super().__init__(read.content_type, read.call_id, window, lambda: not inbox.is_read)
        self._serving, self._read, self._holds_claim = serving, read, served.is_claimed
        self._stream, self.producer = new_id(), random.getrandbits(32)
        self._registered = serving.bus.inbox.waiting(self._stream, self._take)

    def _take(self, frame: bytes) -> None:
        read = stream_frames.read(frame)
        if read is not None:
            self.take(read)

    async def _say(self, taken: int, *, again: bool, gone: bool) -> None:
        inbox, holds = self._serving.bus.inbox.name, self._holds_claim
        credit = FeedCredit(self._stream, self.producer, taken, again, gone, holds, inbox)
        # What is lost is said again.
        redis, to = self._serving.bus.redis, self._read.inbox or ""
        await append(redis, to, self._read.call_id, credit.write())

    async def open(self, cancelled: asyncio.Event, until: float) -> None:
        """Becomes the reader, and waits until the caller has begun to send it to this one.

        Raises:
            CallFailed: `cancelled`: it does not, and the handler is not to be called.
        """
        if len(self._serving.fed) >= _STREAMS_MAX:
            text = f"{_STREAMS_MAX} streams are read already"
            raise CallFailed("overloaded", text, False)
        self._serving.fed.add(self)
        self._registered.__enter__()
        self.keep()
        await self._tell()
        beginning = asyncio.create_task(self.begun())
        leaving = asyncio.create_task(cancelled.wait())
        try:
            async with asyncio.timeout_at(until):
                waits: set[asyncio.Task[object]] = {beginning, leaving}
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if beginning.done():
                beginning.result()
                return
            why = "it was cancelled"
        except TimeoutError:
            why = "its time has passed"
        except CallError as failed:
            why = str(failed)
        finally:
            beginning.cancel()
            leaving.cancel()
        raise CallFailed("cancelled", f"its stream did not begin: {why}", False)

    async def close(self) -> None:
        """Reads no more."""
        self._serving.fed.discard(self)
        try:
            await super().close()
        finally:
            self._registered.__exit__(None, None, None)
