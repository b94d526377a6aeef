"""Calls a service in Rust in all ways that there are: run by the tests of the workspace."""

from __future__ import annotations

import asyncio
import sys

from replybus import JSON, MSGPACK, Bus, CallFailed, ContentType, HandlerError, Ticket

DESK = "desk.requests"
NOTE = {"text": "ü €", "numbers": [-1, 0, 1 << 40], "largest": (1 << 64) - 1, "share": 0.5}


async def values_and_errors(bus: Bus, content_type: ContentType) -> None:
    note = NOTE | {"inner": NOTE | {"inner": None}}
    echo = await bus.query(DESK, "echo", {"note": note}, content_type=content_type)
    assert echo == note, echo
    to = content_type

    async def add(amount: int, key: str) -> object:
        arguments = {"to": to, "amount": amount}
        return await bus.command(
            DESK, "add", arguments, idempotency_key=f"{to}-{key}", content_type=content_type
        )

    assert [await add(60, "a") for _ in range(2)] == [60, 60]
    for _ in range(2):
        try:
            await add(60, "full")
            raise AssertionError("it is full")
        except HandlerError as error:
            assert error.error == {"Full": 100}, error.error
    for amount, key, code in ((61, "a", "key_conflict"), (-1, "b", "bad_request")):
        try:
            await add(amount, key)
            raise AssertionError(code)
        except CallFailed as failed:
            assert (failed.code, failed.may_have_executed) == (code, False), failed


async def failures(bus: Bus) -> None:
    for queue, method, code in (("nobody", "echo", "unroutable"), (DESK, "no", "unknown_method")):
        try:
            await bus.query(queue, method, {})
            raise AssertionError(code)
        except CallFailed as failed:
            assert (failed.code, failed.may_have_executed) == (code, False), failed
    try:
        await bus.query(DESK, "wait", {}, timeout=0.2)
        raise AssertionError("it was answered")
    except CallFailed as failed:
        assert failed.code in ("timed_out", "cancelled"), failed
        assert failed.may_have_executed


async def streams(bus: Bus) -> None:
    numbers = bus.stream(DESK, "count", {"to": 900}, window=512)
    assert [number async for number in numbers] == list(range(900))
    found = []
    try:
        async for number in bus.stream(DESK, "count", {"to": 2000}, content_type=JSON):
            found.append(number)
        raise AssertionError("it is full at 1,000")
    except HandlerError as error:
        assert error.error == {"Full": 1000}
    assert found == list(range(1000))
    async with bus.stream(DESK, "count", {"to": 1 << 31}) as endless:
        assert await anext(endless) == 0


async def cancels(bus: Bus) -> None:
    before = await bus.query(DESK, "cancelled", {})
    waiting = asyncio.ensure_future(bus.query(DESK, "wait", {}, timeout=30))
    await asyncio.sleep(0.2)
    waiting.cancel()
    while await bus.query(DESK, "cancelled", {}) == before:
        await asyncio.sleep(0.01)
    ticket = await bus.command(DESK, "work", {}).submit()
    ticket = Ticket.from_dict(ticket.to_dict())
    while (await bus.cancel(ticket)).state == "never_started":
        ticket = await bus.command(DESK, "work", {}).submit()
        await asyncio.sleep(0.2)
    assert await bus.wait(ticket) == "told"
    assert (await bus.cancel(ticket)).value == "told"
    assert await bus.poll(ticket) == ("told",)


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    trace = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    async with Bus(amqp, redis, namespace=namespace, app="caller.py", trace=lambda: trace) as bus:
        for content_type in (MSGPACK, JSON):
            await values_and_errors(bus, content_type)
        await failures(bus)
        await streams(bus)
        await cancels(bus)
        calls = [bus.query(DESK, "cancelled", {}, timeout=20) for _ in range(300)]
        assert len(set(map(repr, await bus.gather(calls)))) == 1
        assert bus.bundles.may_be(DESK)
        who = await bus.query(DESK, "who", {}, metadata={"tenant": "b"}, priority="high")
        assert who == {"caller": "caller.py", "tenant": "b", "trace": "ab" * 16}, who
        await bus.command(DESK, "add", {"to": "sent", "amount": 1}).send()
        while await bus.command(DESK, "add", {"to": "sent", "amount": 0}) != 1:
            await asyncio.sleep(0.01)
    print("all was as it should be")


asyncio.run(main())
