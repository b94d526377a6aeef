"""Sends streams to a service in Rust: run by the tests of the workspace."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator

from replybus import JSON, MSGPACK, Bus, CallFailed, ContentType

SCALE = "scale.requests"


async def counted(to: int) -> AsyncIterator[int]:
    for number in range(to):
        # Some of them are not there at once.
        if number % 100 == 0:
            await asyncio.sleep(0)
        yield number


async def breaks_off() -> AsyncIterator[int]:
    yield 1
    raise RuntimeError("there are no more")


async def streams(bus: Bus, content_type: ContentType) -> None:
    call = bus.command(SCALE, "total", {"start": 7}, content_type=content_type, timeout=30)
    assert await call.feed(range(1, 1001), window=512) == 500_507
    assert await call.feed(counted(120), window=1) == 7_147
    assert await call.feed([]) == 7
    keyed = bus.command(
        SCALE, "total", {"start": 0}, content_type=content_type, idempotency_key=content_type
    )
    assert [await keyed.feed([1, 2]) for _ in range(2)] == [3, 3]
    some = bus.query(SCALE, "some", {}, content_type=content_type)
    assert await some.feed(itertools.count()) == [0, 1, 2]


async def failures(bus: Bus) -> None:
    total = bus.command(SCALE, "total", {"start": 0})
    text = bus.command(SCALE, "total", {"start": 0}).feed(["no number"])
    for call, code, executed in (
        (total.feed(breaks_off()), "interrupted", True),
        (total.feed([{1, 2}]), "interrupted", True),
        (total, "bad_request", False),
        (bus.command("nobody", "total", {}).feed([1]), "unroutable", False),
    ):
        try:
            await call
            raise AssertionError(code)
        except CallFailed as failed:
            assert (failed.code, failed.may_have_executed) == (code, executed), failed
    try:
        await text
        raise AssertionError("it is no number")
    except Exception as error:
        assert "it broke off" in str(error), error


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    async with Bus(amqp, redis, namespace=namespace, app="scale.py") as bus:
        for content_type in (MSGPACK, JSON):
            await streams(bus, content_type)
        await failures(bus)
        assert await bus.command(SCALE, "plain", {}) == 1
    print("all was as it should be")


asyncio.run(main())
