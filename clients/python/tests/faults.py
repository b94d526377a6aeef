"""What goes wrong in handlers, messages and servers, and does not stay with them."""

from __future__ import annotations

import asyncio
import inspect
import logging
import unittest
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from replybus import JSON, MSGPACK, CallFailed, HandlerError, envelope, replies, runs, stream_frames
from replybus.claims import Taken
from replybus.codec import ContentType, decode
from replybus.context import Context
from replybus.message import Message
from replybus.names import Names
from replybus.partition_line import Line
from replybus.producer import Producer, Way
from replybus.service import Kind as MethodKind
from replybus.service import Served
from replybus.silence import Silence
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


def subscribed(handler: Callable[[Any], Any]) -> Subscription:
    bus: Any = SimpleNamespace(names=Names(), link=None, scripts=None)
    return Subscription(bus, "notes", "noted", handler, "events", 1)


async def produced(
    items: AsyncIterator[Any], content_type: ContentType = MSGPACK
) -> tuple[list[Any], Exception | None]:
    """What comes of a stream at its reader: the items, and the error that it ends with."""
    frames: list[bytes] = []
    is_over = asyncio.Event()

    async def xadd(_: str, fields: dict[str, Any], **__: Any) -> None:
        frames.append(fields["frame"])
        if frames[-1][1] != Kind.ITEMS:
            is_over.set()

    redis: Any = SimpleNamespace(xadd=xadd)
    way, silence = Way("inbox", CALL, 1), Silence(lambda: False)
    producer = Producer(redis, way, WINDOW, content_type, silence)
    producer.start(items, None, lambda: None)
    async with asyncio.timeout(5):
        await is_over.wait()
    producer.cancel()
    read = [frame for data in frames if (frame := stream_frames.read(data)) is not None]
    found = [decode(content_type, item) for frame in read[:-1] for item in frame.items()]
    try:
        if read[-1].kind == Kind.FAULT:
            replies.read(read[-1].rest, CALL)
    except CallFailed as failed:
        return found, failed
    return found, None


if __name__ == "__main__":
    unittest.main()
