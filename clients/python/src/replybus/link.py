"""A connection to RabbitMQ that is always being kept up, and what is published over it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import aiormq
from aiormq import Channel
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelClosed,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    PublishError,
)
from pamqp.commands import Basic

from . import frames
from .errors import CallFailed
from .pauses import Pauses
from .tasks import ended

log = logging.getLogger(__name__)
assert frames  # It makes the connection outlive what is malformed.

#: Seconds that a connection may take, and pauses between attempts.
_CONNECT_WITHIN = 10.0
_PAUSE_MIN, _PAUSE_MAX = 0.05, 5.0
#: Seconds after which a connection that is lost was a good one: the pauses begin anew.
_STEADY_AFTER = 5.0
#: Seconds between two looks whether the broker has taken a consumer away, of which it tells nobody.
_LOOK_EVERY = 1.0
#: What a lost connection or channel shows as.
FAILURES = (AMQPError, OSError, RuntimeError, asyncio.TimeoutError)

#: What the broker closes a channel over that it is to publish on.
_REFUSALS: dict[type[BaseException], str] = {
    ChannelAccessRefused: "denied",
    ChannelNotFoundEntity: "unroutable",
    ChannelPreconditionFailed: "bad_request",
}

#: What is done with a message: it is acknowledged over the channel that it came by.
Callback = Callable[[AbstractChannel, DeliveredMessage], Awaitable[None]]


class _Confirming:
    """A channel with confirms, and the publishes on it of which nothing was said."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel, self.undecided = channel, 0

    def failed(self, error: BaseException) -> CallFailed:
        """What a publish comes to that was neither confirmed nor returned."""
        code = _REFUSALS.get(type(error)) if self.undecided == 1 else None
        if code is not None:
            # It is what the broker closed the channel over: all before it was confirmed.
            return CallFailed(code, str(error), False)
        text = f"the broker did not say that it has the message: {type(error).__name__}"
        return CallFailed("disconnected", text, True)


class Link:
    """The connection of one process."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AbstractConnection | None = None
        self._confirmed: _Confirming | None = None
        self._opening = asyncio.Lock()
        self._up = asyncio.Event()
        self._declared: set[str] = set()
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to connect, for ever."""
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Ends the connection."""
        if self._keeping is not None:
            await ended(self._keeping)
        if self._connection is not None:
            with contextlib.suppress(*FAILURES):
                await self._connection.close()

    async def _keep(self) -> None:
        pauses = Pauses(_PAUSE_MIN, _PAUSE_MAX)
        while True:
            try:
                async with asyncio.timeout(_CONNECT_WITHIN):
                    self._connection = await aiormq.connect(self._url)
            except Exception as error:
                log.warning("RabbitMQ can't be reached: %s", type(error).__name__)
                await asyncio.sleep(pauses.next())
                continue
            since = time.monotonic()
            self._up.set()
            with contextlib.suppress(Exception):
                await self._connection.closing
            # What ends it again and again is not to do so as fast as it can.
            if time.monotonic() - since > _STEADY_AFTER:
                pauses.reset()
            self._up.clear()
            self._declared.clear()
            log.warning("the connection to RabbitMQ is lost")
            await asyncio.sleep(pauses.next())

    @property
    def is_up(self) -> bool:
        """True while there is a connection."""
        return self._up.is_set()

    async def connection(self) -> AbstractConnection:
        """The connection, once there is one."""
        while True:
            await self._up.wait()
            if self._connection is not None and not self._connection.is_closed:
                return self._connection
            await asyncio.sleep(_PAUSE_MIN)

    async def _confirming(self) -> _Confirming:
        async with self._opening:
            if self._confirmed is None or self._confirmed.channel.is_closed:
                connection = await self.connection()
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                self._confirmed = _Confirming(channel)
            return self._confirmed

    async def publish(
        self,
        key: str,
        body: bytes,
        properties: Basic.Properties,
        *,
        within: float,
        exchange: str = "",
        mandatory: bool = True,
    ) -> None:
        """Publishes a message, and waits until the broker has it.

        Raises:
            CallFailed: `unroutable`, `overloaded` or `denied`, if the broker has it not,
                `bad_request`, if it can't be written or be had; `disconnected`, which says whether
                the broker may have it.
        """
        until = asyncio.get_running_loop().time() + within
        while True:
            try:
                async with asyncio.timeout_at(until):
                    confirming = await self._confirming()
            except TimeoutError as error:
                raise CallFailed("disconnected", "RabbitMQ can't be reached", False) from error
            except FAILURES:
                await asyncio.sleep(_PAUSE_MIN)
                continue
            confirming.undecided += 1
            try:
                async with asyncio.timeout_at(until):
                    await confirming.channel.basic_publish(
                        body,
                        exchange=exchange,
                        routing_key=key,
                        properties=properties,
                        mandatory=mandatory,
                    )
            except PublishError as error:
                confirming.undecided -= 1
                raise CallFailed("unroutable", f"there is no queue {key!r}", False) from error
            except DeliveryError as error:
                confirming.undecided -= 1
                raise CallFailed("overloaded", f"the queue {key!r} is full", False) from error
            except (TypeError, ValueError, OverflowError, struct.error) as error:
                confirming.undecided -= 1
                # What they say may be told to nobody.
                text = f"its properties can't be encoded: {type(error).__name__}"
                raise CallFailed("bad_request", text, False) from error
            except FAILURES as error:
                if isinstance(error, ChannelClosed):
                    # One that was declared may be gone.
                    self._declared.discard(exchange)
                raise confirming.failed(error) from error
            confirming.undecided -= 1
            return

    async def is_queue(self, queue: str) -> bool:
        """Whether there is a queue of that name."""
        while True:
            try:
                channel = await (await self.connection()).channel(publisher_confirms=False)
                try:
                    await channel.queue_declare(queue, passive=True)
                except ChannelNotFoundEntity:
                    return False
                await channel.close()
                return True
            except FAILURES as error:
                log.info("looking for a queue again: %s", type(error).__name__)
                await asyncio.sleep(_PAUSE_MIN)

    async def declare_topic(self, exchange: str, *, within: float) -> None:
        """Has a topic exchange be there, once for each connection; one that is there otherwise is used
        as it is.

        Raises:
            CallFailed: `disconnected`: nothing was sent.
        """
        if exchange in self._declared:
            return
        try:
            async with asyncio.timeout(within):
                channel = await (await self.connection()).channel(publisher_confirms=False)
                with contextlib.suppress(ChannelClosed):
                    await channel.exchange_declare(exchange, exchange_type="topic", durable=True)
                    await channel.close()
        except FAILURES as error:
            raise CallFailed("disconnected", "RabbitMQ can't be reached", False) from error
        self._declared.add(exchange)

    async def tell(
        self, exchange: str, key: str, body: bytes, properties: Basic.Properties
    ) -> None:
        """Publishes to a topic exchange of whoever listens, on a channel of its own.

        Raises:
            one of `FAILURES`: it may not have been published.
        """
        channel = await (await self.connection()).channel(publisher_confirms=False)
        try:
            await channel.exchange_declare(exchange, exchange_type="topic", durable=True)
            await channel.basic_publish(
                body, exchange=exchange, routing_key=key, properties=properties
            )
        finally:
            await channel.close()

    async def consume(
        self,
        queue: str,
        prefetch: int,
        declare: Callable[[AbstractChannel], Awaitable[None]],
        callback: Callback,
        *,
        ready: asyncio.Event,
        begin: Callable[[], Awaitable[None]] | None = None,
        end: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Takes messages of a queue for as long as it is not cancelled, whatever is lost meanwhile.

        `declare` makes what must be there. `begin` is called once the queue is consumed, and no
        message is handed on before it is done; `ready` is set then. Cancelled, it takes no more, and
        calls `end` before what was not settled is given back.
        """
        pauses = Pauses(_PAUSE_MIN, _PAUSE_MAX)
        while True:
            connection = await self.connection()
            channel: Channel | None = None
            try:
                channel = cast(Channel, await connection.channel(publisher_confirms=False))
                await declare(channel)
                await channel.basic_qos(prefetch_count=prefetch)
                await self._take(channel, queue, callback, ready, begin, end)
            except Exception as error:
                log.warning("consuming %s again: %s: %s", queue, type(error).__name__, error)
            finally:
                if channel is not None:
                    with contextlib.suppress(*FAILURES):
                        await channel.close()
            await asyncio.sleep(pauses.next())

    async def _take(
        self,
        channel: Channel,
        queue: str,
        callback: Callback,
        ready: asyncio.Event,
        begin: Callable[[], Awaitable[None]] | None,
        end: Callable[[], Awaitable[None]] | None,
    ) -> None:
        begun = asyncio.Event()

        async def take(message: DeliveredMessage) -> None:
            await begun.wait()
            await callback(channel, message)

        consuming = await channel.basic_consume(queue, take)
        if begin is not None:
            await begin()
        begun.set()
        ready.set()
        tag = consuming.consumer_tag or ""
        try:
            while not channel.is_closed and tag in channel.consumers:
                await asyncio.wait([channel.closing], timeout=_LOOK_EVERY)
        except asyncio.CancelledError:
            with contextlib.suppress(*FAILURES):
                await channel.basic_cancel(tag)
            if end is not None:
                await end()
            raise
        raise ConnectionError("its consumer is gone")


def properties(**named: Any) -> Basic.Properties:
    """The properties of a message: those that are given and not `None`."""
    return Basic.Properties(**{name: value for name, value in named.items() if value is not None})
