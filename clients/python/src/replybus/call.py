"""A call, and the three things that can be done with it."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from . import replies, stream_frames
from .delays import due_of
from .errors import CallFailed
from .levels import Destination
from .method import CallOptions, Method
from .pauses import Pauses
from .request import Request, prepare
from .stream_frames import WINDOW, FeedCredit, Frame
from .ticket import Ticket

if TYPE_CHECKING:
    from .bus import Bus
    from .feeding import FeedCall

T = TypeVar("T")

#: Seconds that a call may run, and that the reply to a submitted one is kept.
_LONGEST, _REPLY_KEPT = 20 * 60.0, 10 * 60.0


class Call(Generic[T]):
    """A call that was not made yet: awaited it is made, and its reply waited for.

    If the task that waits is cancelled, or its timeout ends, the call is cancelled: it is not
    started, a query that runs is dropped, and a command told.
    """

    def __init__(
        self, bus: Bus, method: Method, arguments: Mapping[str, Any], options: CallOptions
    ) -> None:
        self._bus, self._method = bus, method
        self._arguments, self._options = arguments, options

    def __await__(self) -> Generator[Any, None, T]:
        """The value that the handler returned.

        Raises:
            HandlerError: the handler's own error.
            CallFailed: anything else; says whether the work may have been executed.
        """
        return self._reply().__await__()

    def feed(
        self, items: AsyncIterable[Any] | Iterable[Any], *, window: int = WINDOW
    ) -> FeedCall[T]:
        """The same call, of a method one of whose arguments is a stream: of these items, of which
        `window` bytes are sent ahead of its handler.
        """
        from .feeding import FeedCall

        return FeedCall(self._bus, self, items, window)

    async def submit(
        self, *, after: float | None = None, at: datetime.datetime | None = None
    ) -> Ticket:
        """Makes the call, and returns a ticket to fetch its reply with, here or elsewhere.

        With `after` (seconds, up to 366 days) or `at` (a moment with a time zone) it reaches its
        service then, and not earlier: the broker keeps it, and this process may end. Its timeout,
        within which it must be started, counts from then.

        Raises:
            CallFailed: the broker has it not, or may not have it.
        """
        request = self._later(after, at)
        await self._put(request, request.submitted(self._bus.app))
        return Ticket(
            service=self._method.service,
            method=self._method.name,
            queue=self._method.queue,
            call_id=request.call_id,
            idempotency_key=request.idempotency_key,
            recorded=self._method.is_command and self._method.is_recorded,
            put_off=self._method.is_put_off,
            expires_at=self._expires_at(request),
            delayed=request.due is not None,
        )

    async def send(self, *, after: float | None = None, at: datetime.datetime | None = None) -> str:
        """Makes the call one-way: nobody is told what comes of it. Returns its id.

        `after` and `at` are those of `submit`.

        Raises:
            CallFailed: the broker has it not, or may not have it.
        """
        request = self._later(after, at)
        await self._put(request, request.one_way(self._bus.app))
        return request.call_id

    def prepare(self, *, is_awaited: bool = True) -> Request:
        """The call as a request, with an id of its own.

        Raises:
            CallFailed: `bad_request`: it can't be made so.
        """
        options, trace = self._options, self._bus.trace
        return prepare(self._method, self._arguments, options, trace, is_awaited=is_awaited)

    def _later(self, after: float | None, at: datetime.datetime | None) -> Request:
        request = self.prepare(is_awaited=False)
        try:
            request.due = due_of(after, at)
        except ValueError as error:
            raise CallFailed("bad_request", str(error), False) from error
        return request

    def _expires_at(self, request: Request) -> int:
        begins = request.due or time.time()
        longest = self._method.job or _LONGEST
        return int((begins + request.timeout + longest + _REPLY_KEPT) * 1000)

    async def _put(self, request: Request, properties: Any) -> None:
        queue = self._bus.names.full(request.queue)
        within = min(request.timeout, self._method.timeout)
        if request.due is None:
            await self._bus.link.publish(queue, request.body, properties, within=within)
            return
        delays, to = self._bus.delays, Destination("", queue)
        await delays.publish(to, request.body, properties, due=request.due, within=within)
        note: dict[str, Any] = {
            "id": request.call_id,
            "kind": "call",
            "service": self._method.service,
            "name": self._method.name,
            "keyed": request.idempotency_key is not None,
            "ticket": {
                "expires_at": self._expires_at(request),
                "recorded": self._method.is_command and self._method.is_recorded,
                "put_off": self._method.is_put_off,
            },
        }
        delays.note(self._method.queue, note, request.due)

    async def _reply(self) -> T:
        request = self.prepare()
        with Waiting(self._bus, request) as waiting:
            await publish(self._bus, request)
            return cast(T, await waiting.reply())


class Waiting:
    """Waits for the reply to one request, from before it is published."""

    def __init__(
        self,
        bus: Bus,
        request: Request,
        on_frame: Callable[[Frame], None] | None = None,
        on_credit: Callable[[FeedCredit], None] | None = None,
    ) -> None:
        self._bus, self._request = bus, request
        self._on_frame, self._on_credit = on_frame, on_credit
        self._frame: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._registered = bus.inbox.waiting(request.call_id, self._take)

    def __enter__(self) -> Waiting:
        self._registered.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._registered.__exit__(None, None, None)
        given_up = kind is not None and issubclass(kind, asyncio.CancelledError)
        if given_up and not self._frame.done():
            request = self._request
            self._bus.cancels.tell(request.method.queue, request.call_id, request.left())

    def _take(self, frame: bytes) -> None:
        if stream_frames.is_frame(frame):
            if self._on_frame is not None and (read := stream_frames.read(frame)) is not None:
                self._on_frame(read)
            credit = stream_frames.read_feed_credit(frame) if self._on_credit is not None else None
            if credit is not None and self._on_credit is not None:
                self._on_credit(credit)
        elif not self._frame.done():
            self._frame.set_result(frame)

    def fail(self, failed: CallFailed) -> None:
        """Ends it with this, unless there is a reply."""
        if not self._frame.done():
            self._frame.set_exception(failed)

    async def answered(self) -> None:
        """Waits until there is a reply, whatever it is."""
        await asyncio.shield(self._frame)

    async def reply(self) -> Any:
        """The value in the reply.

        Raises:
            HandlerError: it is the handler's own error.
            CallFailed: it is any other error, or there is none in time.
        """
        request = self._request
        try:
            async with asyncio.timeout_at(request.until):
                frame: bytes | None = await asyncio.shield(self._frame)
        except TimeoutError:
            frame = await self._bus.inbox.stored(request.call_id)
        if frame is None:
            self._bus.cancels.tell(request.method.queue, request.call_id, request.left())
            raise CallFailed("timed_out", "no reply in time", True, call_id=request.call_id)
        reply = replies.read(frame, request.call_id, is_repeated=request.is_repeated)
        self._bus.bundles.heard(request.queue, reply.takes_bundles)
        return reply.body


async def publish(bus: Bus, request: Request) -> None:
    """Publishes an awaited request.

    If nobody says whether the broker has it, and it may be run again, it is published again, marked as
    repeated. Otherwise that is as good: the reply will tell.

    Raises:
        CallFailed: the broker surely has it not.
    """
    queue, pauses = bus.names.full(request.queue), Pauses(0.05, 1.0)
    while True:
        properties = request.awaited(bus.inbox.name, bus.app)
        try:
            await bus.link.publish(queue, request.body, properties, within=request.left())
            return
        except CallFailed as failed:
            if failed.code != "disconnected" or not (
                failed.may_have_executed or request.is_repeated
            ):
                failed.may_have_executed |= request.is_repeated
                failed.call_id = request.call_id
                raise
            if not request.may_be_repeated():
                return
        request.is_repeated = True
        await asyncio.sleep(pauses.next())
