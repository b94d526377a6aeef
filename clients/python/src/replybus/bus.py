"""A bus: the connections of one process, and all that is done over them."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from redis.asyncio import Redis

from . import context, gather, ticket
from .bundles import Bundles
from .call import Call
from .cancels import Cancels
from .codec import MSGPACK, ContentType, encode
from .delays import Delays, due_of
from .errors import CallError
from .inbox import Inbox
from .levels import Destination
from .link import Link, properties
from .method import CallOptions, Method
from .names import Names, new_id
from .progress import Progress
from .request import Trace
from .scripts import Scripts
from .stream import StreamCall
from .stream_frames import WINDOW
from .ticket import CancelOutcome, Ticket, TicketStatus

if TYPE_CHECKING:
    from .service import Service
    from .serving import Serving
    from .subscription import EventHandler, Subscription

T = TypeVar("T")

#: Seconds that Redis may take to answer: longer than a read of the inbox waits.
_REDIS_WITHIN = 5.0
_EMIT_WITHIN = 10.0


class Bus:
    """Callers, workers and events of one process. Open it with `async with`.

    Args:
        amqp_url: where RabbitMQ is.
        redis_url: where Redis is.
        namespace: that of the system; programs of others don't meet it.
        app: how this program names itself to those it calls.
        key_prefix: that of the other programs' reply stores.
        trace: the headers of the trace that calls belong to, such as what OpenTelemetry injects;
            without it they are those of the handler that makes the call.
    """

    def __init__(
        self,
        amqp_url: str,
        redis_url: str,
        *,
        namespace: str = "",
        app: str = "python",
        key_prefix: str = "replybus:",
        trace: Trace | None = None,
    ) -> None:
        self.names = Names(namespace, key_prefix)
        self.app, self.trace = app, trace
        self.link = Link(amqp_url)
        self.redis: Redis = Redis.from_url(
            redis_url,
            protocol=2,
            socket_timeout=_REDIS_WITHIN,
            socket_connect_timeout=_REDIS_WITHIN,
        )
        self.scripts = Scripts(self.redis)
        self.inbox = Inbox(self.redis, self.names)
        self.cancels = Cancels(self.link, self.names)
        self.bundles = Bundles()
        self.delays = Delays(self.link, self.names, self.scripts, app)

    async def __aenter__(self) -> Bus:
        """Connects to Redis; RabbitMQ is connected to meanwhile, and whenever it is lost.

        Raises:
            redis.exceptions.RedisError: Redis can't be reached.
        """
        try:
            await self.inbox.open()
        except BaseException:
            await self.redis.aclose()
            raise
        self.link.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.cancels.close()
        await self.delays.close()
        await self.inbox.close()
        await self.link.close()
        await self.redis.aclose()

    def is_deaf(self) -> bool:
        """Whether other programs can't be heard, or not be told anything."""
        return not (self.link.is_up and self.inbox.is_read)

    def call(self, method: Method, arguments: Mapping[str, Any], options: CallOptions) -> Call[Any]:
        """A call of a method, as clients that were generated make it."""
        return Call(self, method, arguments, options)

    def query(
        self, queue: str, method: str, arguments: Mapping[str, Any], **options: Unpack[CallOptions]
    ) -> Call[Any]:
        """A call that changes nothing."""
        return Call(self, Method(queue, method, is_command=False), arguments, options)

    def command(
        self, queue: str, method: str, arguments: Mapping[str, Any], **options: Unpack[CallOptions]
    ) -> Call[Any]:
        """A call that changes something, and happens once for each idempotency key."""
        return Call(self, Method(queue, method), arguments, options)

    def stream(
        self,
        queue: str,
        method: str,
        arguments: Mapping[str, Any],
        *,
        window: int = WINDOW,
        **options: Unpack[CallOptions],
    ) -> StreamCall[Any]:
        """A call whose answer is a stream; its producer may be `window` bytes ahead."""
        known = Method(queue, method, is_command=False)
        return StreamCall(self, known, arguments, options, window)

    async def gather(self, calls: Iterable[Call[T]]) -> list[T | CallError]:
        """Makes calls at once, and waits for all: values, and the errors of those that failed.

        Those to one queue whose service takes several in a message leave together.
        """
        return await gather.gather(self, calls)

    async def poll(self, ticket_of: Ticket) -> tuple[Any] | None:
        """The value that is the reply to a ticket, alone in a tuple, if it is there by now.

        Raises:
            HandlerError: it is the handler's own error.
            CallFailed: it is any other error, or Redis can't be reached.
        """
        reply = await ticket.poll(self, ticket_of)
        return None if reply is None else (reply.body,)

    async def wait(self, ticket_of: Ticket, timeout: float = 30.0) -> Any:
        """The value that is the reply to a ticket, once it is there.

        Raises:
            HandlerError: the handler's own error.
            CallFailed: any other error, or there is none in time.
        """
        return await ticket.wait(self, ticket_of, timeout)

    async def status(self, ticket_of: Ticket) -> TicketStatus:
        """The state of a submitted call now: whether it waits, runs or is done, and how far it is if
        it is a job that says so.

        Raises:
            redis.exceptions.RedisError: Redis can't be reached.
        """
        return await ticket.status(self, ticket_of)

    def progress(self, ticket_of: Ticket) -> AsyncIterator[Progress]:
        """What a job says of how far it is, from now on until it is done: read it with `async for`.

        What came between two looks is left out, and the last word may be. It looks four times a
        second, and every 2 s when there is nothing new, also while Redis can't be reached.
        """
        return ticket.progress(self, ticket_of)

    async def cancel(self, ticket_of: Ticket) -> CancelOutcome:
        """Cancels a submitted call.

        Raises:
            ValueError: the ticket names no queue.
            redis.exceptions.RedisError: Redis can't be reached; it may be cancelled.
        """
        return await ticket.cancel(self, ticket_of)

    async def emit(
        self,
        event: str,
        body: Any,
        *,
        exchange: str = "replybus.events",
        content_type: ContentType = MSGPACK,
        event_id: str | None = None,
        after: float | None = None,
        at: datetime.datetime | None = None,
    ) -> str:
        """Emits an event under its routing key, and returns its id.

        With `after` (seconds, up to 366 days) or `at` (a moment with a time zone) it goes then to
        the groups that there are; the broker keeps it until then.

        Raises:
            ValueError: the body can't be encoded, or there is no such moment.
            CallFailed: the broker has it not, or may not have it.
        """
        of = context.current()
        event_id = event_id or new_id()
        about = properties(
            message_type=event,
            message_id=event_id,
            content_type=content_type,
            delivery_mode=2,
            timestamp=datetime.datetime.now(datetime.UTC),
            app_id=self.app,
            headers=dict(self.trace()) if self.trace else dict(of.trace) if of else {},
        )
        data = encode(content_type, body)
        due = due_of(after, at)
        if due is not None:
            to = Destination(self.names.full(exchange), event)
            await self.delays.publish(to, data, about, due=due, within=_EMIT_WITHIN)
            note = {"id": event_id, "kind": "event", "name": event}
            self.delays.note(event, note, due)
            return event_id
        await self.link.declare_topic(self.names.full(exchange), within=_EMIT_WITHIN)
        await self.link.publish(
            event,
            data,
            about,
            exchange=self.names.full(exchange),
            mandatory=False,
            within=_EMIT_WITHIN,
        )
        return event_id

    async def serve(self, service: Service) -> Serving:
        """Serves a queue, once it is there: until the serving is shut down."""
        from .serving import Serving

        return await Serving.start(self, service)

    async def subscribe(
        self,
        group: str,
        event: str,
        handler: EventHandler,
        *,
        exchange: str = "replybus.events",
        concurrency: int = 32,
    ) -> Subscription:
        """Has events under a routing key handled, each once by one member of the group."""
        from .subscription import Subscription

        return await Subscription.start(self, group, event, handler, exchange, concurrency)
