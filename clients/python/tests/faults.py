"""What goes wrong in handlers, messages and servers, and does not stay with them."""

from __future__ import annotations

import asyncio
import inspect
import logging
import struct
import unittest
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from aiormq.exceptions import ChannelNotFoundEntity
from pamqp import decode as decoding

from replybus import (
    JSON,
    MSGPACK,
    CallFailed,
    HandlerError,
    envelope,
    frames,
    replies,
    runs,
    stream_frames,
)
from replybus.bundles import Bundles
from replybus.call import Call
from replybus.claims import Taken
from replybus.codec import ContentType, decode
from replybus.context import Context, as_text
from replybus.gather import gather
from replybus.inbox import Inbox
from replybus.jobs import Jobs
from replybus.link import Link, _Confirming, properties
from replybus.message import Message
from replybus.method import Method
from replybus.names import Names
from replybus.partition_line import Line
from replybus.producer import Producer, Way
from replybus.service import Kind as MethodKind
from replybus.service import Served, Service
from replybus.serving import Serving
from replybus.silence import Silence
from replybus.stream import StreamCall
from replybus.stream_frames import WINDOW, Kind
from replybus.subscription import Subscription

CALL = "018f6d1c-5e7a-7b3c-8d9e-0f1a2b3c4d5e"


def setUpModule() -> None:
    # What is logged here is what is tested.
    logging.disable(logging.CRITICAL)


async def waits_for_what_is_cancelled() -> None:
    """Raises `CancelledError`, and was not cancelled."""
    waited = asyncio.get_running_loop().create_future()
    waited.cancel()
    await waited


def served(handler: Callable[..., Any], kind: MethodKind = "query") -> Served:
    return Served("run", kind, handler, inspect.signature(handler))


class Cancelled(unittest.IsolatedAsyncioTestCase):
    """Handlers that end as if they were cancelled."""

    async def test_a_handler_that_nobody_cancelled_has_panicked(self) -> None:
        read = envelope.read(Message(b"\x80", kind="run", correlation_id=CALL), Names())
        serving: Any = None
        method, of = served(waits_for_what_is_cancelled), Context(CALL)
        outcome = await runs.answered(serving, method, read, of, {})
        self.assertEqual(cast(CallFailed, outcome.error).code, "panicked")
        # One that was is ended by that.
        forever = served(asyncio.Event().wait)
        running = asyncio.create_task(runs.answered(serving, forever, read, of, {}))
        await asyncio.sleep(0)
        running.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await running

    async def test_an_event_is_handed_again_to_a_handler_that_nobody_cancelled(self) -> None:
        calls: list[Any] = []

        async def handler(event: Any) -> None:
            calls.append(event)
            if len(calls) == 1:
                await waits_for_what_is_cancelled()

        group, claims = subscribed(handler), mock.AsyncMock()
        claims.take.return_value = Taken(1)
        group._claims = claims
        self.assertTrue(await group._handled(Message(b"\x05", message_id="a"), "noted"))
        self.assertEqual(calls, [5, 5])
        claims.finish.assert_awaited_once()

    async def test_an_event_without_an_id_that_kills_its_workers_is_run_five_times(self) -> None:
        calls: list[Any] = []

        async def handler(event: Any) -> None:
            calls.append(event)

        for runs_before, is_run in ((1, True), (4, True), (5, False)):
            calls.clear()
            group, claims = subscribed(handler), mock.AsyncMock()
            # The first is that of the count.
            claims.take.side_effect = [Taken(runs_before), Taken(1)]
            refused: Any = mock.AsyncMock()
            with (
                mock.patch.object(group, "_claims", claims),
                mock.patch.object(group._letters, "keep", refused),
            ):
                message = Message(b"\x05", message_id="x" * 65, redelivered=True)
                self.assertTrue(await group._handled(message, "noted"))
            self.assertEqual(len(calls), int(is_run), runs_before)
            if not is_run:
                self.assertEqual(refused.await_args.args[1].code, "interrupted")
            counted = claims.take.await_args_list[0].args[0].name
            self.assertRegex(counted, "^event:notes:delivery:[0-9a-f]{32}$")
            self.assertEqual(claims.release.await_args.args[0].name, counted)

    async def test_a_line_ends_with_one_that_is_cancelled(self) -> None:
        line = Line(0)

        async def work(_: Message) -> bool:
            await waits_for_what_is_cancelled()
            return True

        line.add(Message(b"", headers={"x-replybus-partition": "1/1"}), work)
        async with asyncio.timeout(5):
            while not line.is_idle:
                await asyncio.sleep(0)
        self.assertTrue(line.is_ending)

    async def test_a_stream_that_nobody_cancelled_has_an_end(self) -> None:
        async def items() -> AsyncIterator[int]:
            yield 5
            await waits_for_what_is_cancelled()

        read, failed = await produced(items())
        self.assertEqual((read, cast(CallFailed, failed).code), ([5], "panicked"))


class Streams(unittest.IsolatedAsyncioTestCase):
    async def test_a_stream_whose_error_can_not_be_sent_has_an_end(self) -> None:
        async def items() -> AsyncIterator[int]:
            yield 5
            raise HandlerError(object())

        read, failed = await produced(items(), JSON)
        self.assertEqual((read, cast(CallFailed, failed).code), ([5], "bad_reply"))


def named(name: str, value: bytes) -> bytes:
    return bytes([len(name)]) + name.encode() + value


#: A header of each type that AMQP has and RabbitMQ sends.
TYPES = {
    "array": b"A" + struct.pack(">I", 6) + b"V" + b"s\0\7" + b"t\1",
    "boolean": b"t\1",
    "bytes": b"x" + struct.pack(">I", 2) + b"\xff\2",
    "decimal": b"D" + struct.pack(">BI", 2, 0xFFFF_FFFF),
    "double": b"d" + struct.pack(">d", 1e300),
    "float": b"f" + struct.pack(">f", 0.5),
    "integer-b": b"b\xf9",
    "integer-byte": b"B\xf9",
    "integer-long": b"l" + struct.pack(">q", 7),
    "integer-s": b"s" + struct.pack(">h", -7),
    "integer-u": b"u" + struct.pack(">H", 7),
    "integer-ui": b"i" + struct.pack(">I", 7),
    "integer-whole": b"I" + struct.pack(">i", 7),
    "nothing": b"V",
    "odd": b"S" + struct.pack(">I", 3) + b"a\xffc",
    "table": b"F"
    + struct.pack(">I", 18)
    + named("a", b"d" + struct.pack(">d", 0.1))
    + named("b", b"b\7")
    + named("c", b"V"),
    "text": b"S" + struct.pack(">I", 1) + b"t",
    "time": b"T" + struct.pack(">Q", 1 << 60),
}


class Headers(unittest.IsolatedAsyncioTestCase):
    def test_headers_that_are_handed_on_keep_their_types(self) -> None:
        table = b"".join(named(name, value) for name, value in TYPES.items())
        data = struct.pack(">I", len(table)) + table
        _, headers = cast("tuple[int, dict[str, Any]]", decoding.by_type(data, "table"))
        message = Message(b"", headers=headers)
        self.assertEqual(message.properties(headers).marshal()[2:], data)
        whole = [as_text(headers[f"integer-{kind}"]) for kind in ("b", "byte", "long")]
        self.assertEqual(whole, ["-7", "249", "7"])

    def test_headers_that_nest_deeper_than_32_are_malformed(self) -> None:
        for depth, is_read in ((31, True), (32, False), (26_000, False)):
            levels = (b"A" + struct.pack(">I", 5 * below + 1) for below in reversed(range(depth)))
            table = named("deep", b"".join(levels) + b"V")
            _, headers = frames._table(struct.pack(">I", len(table)) + table)
            self.assertEqual(list(headers), ["deep"] if is_read else [frames.UNREADABLE])

    def test_a_text_that_ends_too_early_is_malformed(self) -> None:
        table = named("odd", b"S" + struct.pack(">I", 9) + b"a\xffc")
        data = struct.pack(">I", len(table)) + table
        self.assertEqual(frames._table(data), (len(data), {frames.UNREADABLE: True}))

    async def test_what_can_not_be_written_was_not_sent(self) -> None:
        channel = mock.AsyncMock(is_closed=False)
        channel.basic_publish.side_effect = TypeError("hunter2")
        link = Link("amqp://127.0.0.1:1")
        link._confirmed = _Confirming(channel)
        with self.assertRaises(CallFailed) as raised:
            await link.publish("a", b"", properties(headers={"a": object()}), within=5)
        failed = raised.exception
        self.assertEqual((failed.code, failed.may_have_executed), ("bad_request", False))
        self.assertNotIn("hunter2", str(failed))


class Left(unittest.IsolatedAsyncioTestCase):
    """What is cancelled before it has begun."""

    async def asyncSetUp(self) -> None:
        self.consumed, self.ended = 0, 0
        link = SimpleNamespace(consume=self.consume, is_queue=mock.AsyncMock(return_value=False))
        link.connection, link.publish = asyncio.Event().wait, mock.AsyncMock()
        self.bus: Any = SimpleNamespace(names=Names(), app="python", trace=None, link=link)
        self.bus.scripts = SimpleNamespace(withdraw=mock.AsyncMock())
        self.bus.redis, self.bus.cancels = mock.AsyncMock(), mock.Mock()
        self.bus.inbox, self.bus.is_deaf = Inbox(self.bus.redis, Names()), lambda: False

    async def consume(self, *_: Any, **__: Any) -> None:
        self.consumed += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1

    async def test_nothing_goes_on_of_a_start_that_is_cancelled(self) -> None:
        async def handler(_: Any) -> None: ...

        before = asyncio.all_tasks()
        for start, consumed in (
            (lambda: Serving.start(self.bus, Service("a.requests")), 2),
            (lambda: Serving.start(self.bus, Service("a.requests", partitions=2)), 1),
            (lambda: Subscription.start(self.bus, "notes", "noted", handler, "events", 1), 1),
        ):
            self.consumed = self.ended = 0
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(start(), 0.01)
            self.assertEqual((self.consumed, self.ended), (consumed, consumed))
            self.assertEqual(asyncio.all_tasks(), before)

    async def test_a_stream_that_is_given_up_while_it_is_opened_is_cancelled(self) -> None:
        method = Method("desk.requests", "count", is_command=False)
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout(0.01), StreamCall[int](self.bus, method, {}, {}):
                pass
        self.bus.cancels.tell.assert_called_once()
        self.assertEqual(self.bus.cancels.tell.call_args.args[0], "desk.requests")


class Together(unittest.IsolatedAsyncioTestCase):
    async def test_of_calls_that_are_sent_again_only_the_one_that_failed_says_so(self) -> None:
        """A bundle is refused, and then one of its calls is not taken, and the other runs."""
        inbox, published = Inbox(mock.AsyncMock(), Names()), 0

        async def publish(_: str, body: bytes, about: Any, **__: Any) -> None:
            nonlocal published
            published += 1
            if published == 1:
                older = CallFailed("unknown_method", "it takes none", False)
                inbox._hand(about.correlation_id, replies.fault(MSGPACK, older))
            elif published == 2:
                raise CallFailed("overloaded", "the queue is full", False)
            else:
                running.append(about.correlation_id)

        running: list[str] = []
        bus: Any = SimpleNamespace(
            names=Names(), app="python", trace=None, inbox=inbox, bundles=Bundles()
        )
        bus.link, bus.cancels = SimpleNamespace(publish=publish), mock.Mock()
        bus.bundles.heard("desk.requests", True)
        method = Method("desk.requests", "add", is_command=True)
        calls: list[Call[int]] = [Call(bus, method, {}, {}) for _ in range(2)]
        gathering = asyncio.create_task(gather(bus, calls))
        async with asyncio.timeout(5):
            while not running:
                await asyncio.sleep(0)
            # It has time to be told of the other's failure.
            await asyncio.sleep(0.01)
            inbox._hand(running[0], replies.value(MSGPACK, 5))
            failed, answer = await gathering
        self.assertEqual((cast(CallFailed, failed).code, answer), ("overloaded", 5))


class Refusals(unittest.IsolatedAsyncioTestCase):
    async def test_the_only_publish_that_a_channel_is_closed_over_was_refused(self) -> None:
        waits = asyncio.get_running_loop().create_future()
        link = Link("amqp://127.0.0.1:1")
        link._declared.add("events")

        async def publish() -> CallFailed:
            with self.assertRaises(CallFailed) as raised:
                await link.publish("a", b"", properties(), within=5, exchange="events")
            return raised.exception

        async def closes(*_: Any, **__: Any) -> None:
            await asyncio.shield(waits)

        channel = mock.AsyncMock(is_closed=False)
        channel.basic_publish.side_effect = closes
        link._confirmed = _Confirming(channel)
        publishing = [asyncio.create_task(publish()) for _ in range(2)]
        await asyncio.sleep(0)
        waits.set_exception(ChannelNotFoundEntity("no exchange 'events'"))
        # Nothing says which of several it was.
        for failed in await asyncio.gather(*publishing):
            self.assertEqual((failed.code, failed.may_have_executed), ("disconnected", True))
        link._confirmed = _Confirming(channel)
        failed = await publish()
        self.assertEqual((failed.code, failed.may_have_executed), ("unroutable", False))
        self.assertEqual(link._declared, set())


class JobsTest(unittest.IsolatedAsyncioTestCase):
    async def test_the_message_of_a_job_says_that_it_was_started_when_it_was(self) -> None:
        kept: list[Any] = []

        async def keep_started(read: Any) -> bool:
            kept.append(read)
            return True

        jobs = object.__new__(Jobs)
        jobs._room = cast(Any, SimpleNamespace(keep_started=keep_started))
        run: Any = SimpleNamespace(started=asyncio.Event(), is_handed_back=False)
        with mock.patch("replybus.jobs.HELD_FOR", 0.0):
            handing_back = asyncio.create_task(jobs._hand_back(run, cast(Any, "its message")))
            for _ in range(10):
                await asyncio.sleep(0)
            self.assertEqual(kept, [])
            run.started.set()
            await asyncio.wait_for(handing_back, 5)
        self.assertEqual((kept, run.is_handed_back), (["its message"], True))


def subscribed(handler: Callable[[Any], Any]) -> Subscription:
    bus: Any = SimpleNamespace(names=Names(), link=None, scripts=None)
    return Subscription(bus, "notes", "noted", handler, "events", 1)


async def produced(
    items: AsyncIterator[Any], content_type: ContentType = MSGPACK
) -> tuple[list[Any], Exception | None]:
    """What comes of a stream at its reader: the items, and the error that it ends with."""
    sent: list[bytes] = []
    is_over = asyncio.Event()

    async def xadd(_: str, fields: dict[str, Any], **__: Any) -> None:
        sent.append(fields["frame"])
        if sent[-1][1] != Kind.ITEMS:
            is_over.set()

    redis: Any = SimpleNamespace(xadd=xadd)
    way, silence = Way("inbox", CALL, 1), Silence(lambda: False)
    producer = Producer(redis, way, WINDOW, content_type, silence)
    producer.start(items, None, lambda: None)
    async with asyncio.timeout(5):
        await is_over.wait()
    producer.cancel()
    read = [frame for data in sent if (frame := stream_frames.read(data)) is not None]
    found = [decode(content_type, item) for frame in read[:-1] for item in frame.items()]
    try:
        if read[-1].kind == Kind.FAULT:
            replies.read(read[-1].rest, CALL)
    except CallFailed as failed:
        return found, failed
    return found, None


if __name__ == "__main__":
    unittest.main()
