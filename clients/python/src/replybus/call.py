"""A call, and the three things that can be done with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from . import replies, stream_frames
from .errors import CallFailed
from .method import CallOptions, Method
from .pauses import Pauses
from .request import Request, prepare
from .stream_frames import Frame
from .ticket import Ticket

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")


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

    async def submit(self) -> Ticket:
        """Makes the call, and returns a ticket to fetch its reply with, here or elsewhere.

        Raises:
            CallFailed: the broker has it not, or may not have it.
        """
        request = self.prepare(is_awaited=False)
        await self._put(request, request.submitted(self._bus.app))
        return Ticket(
            service=self._method.service,
            method=self._method.name,
            queue=self._method.queue,
            call_id=request.call_id,
            idempotency_key=request.idempotency_key,
            recorded=self._method.is_command and self._method.is_recorded,
            put_off=self._method.is_put_off,
            expires_at=int((time.time() + request.timeout + 20 * 60 + 600) * 1000),
        )

    async def send(self) -> str:
        """Makes the call one-way: nobody is told what comes of it. Returns its id.

        Raises:
            CallFailed: the broker has it not, or may not have it.
        """
        request = self.prepare(is_awaited=False)
        await self._put(request, request.one_way(self._bus.app))
        return request.call_id

    def prepare(self, *, is_awaited: bool = True) -> Request:
        """The call as a request, with an id of its own.

        Raises:
            CallFailed: `bad_request`: it can't be made so.
        """
        options, trace = self._options, self._bus.trace
        return prepare(self._method, self._arguments, options, trace, is_awaited=is_awaited)

    async def _put(self, request: Request, properties: Any) -> None:
        queue = self._bus.names.full(request.queue)
        within = min(request.timeout, self._method.timeout)
        await self._bus.link.publish(queue, request.body, properties, within=within)

    async def _reply(self) -> T:
        request = self.prepare()
        with Waiting(self._bus, request) as waiting:
            await publish(self._bus, request)
            return cast(T, await waiting.reply())


class Waiting:
    """Waits for the reply to one request, from before it is published."""

    def __init__(
        self, bus: Bus, request: Request, on_frame: Callable[[Frame], None] | None = None
    ) -> None:
        self._bus, self._request, self._on_frame = bus, request, on_frame
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
            read = stream_frames.read(frame)
            if read is not None and self._on_frame is not None:
                self._on_frame(read)
        elif not self._frame.done():
            self._frame.set_result(frame)

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
