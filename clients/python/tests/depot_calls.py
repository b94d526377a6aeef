"""Calls a depot in Rust: later, and where it puts commands off. Run by the tests of the workspace."""

from __future__ import annotations

import asyncio
import datetime
import sys
import time

from replybus import (
    JSON,
    MSGPACK,
    Bus,
    CallFailed,
    ContentType,
    HandlerError,
    Method,
    Ticket,
)

DEPOT = "depot.requests"


async def later(bus: Bus, content_type: ContentType) -> None:
    stamp = bus.command(DEPOT, "stamp", {}, content_type=content_type)
    due = time.time() + 1
    ticket = await stamp.submit(after=1)
    assert await bus.wait(Ticket.from_dict(ticket.to_dict())) >= due * 1000
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    assert await bus.wait(await stamp.submit(at=at)) >= at.timestamp() * 1000
    # One that has passed is now.
    assert await bus.wait(await stamp.submit(at=datetime.datetime.fromtimestamp(0, datetime.UTC)))
    await stamp.send(after=3600)
    keyed = bus.command(DEPOT, "stamp", {}, idempotency_key=content_type, content_type=content_type)
    ticket = await keyed.submit(after=3600)
    assert (await bus.cancel(ticket)).state == "never_started"
    try:
        await bus.wait(ticket)
        raise AssertionError("it was cancelled")
    except CallFailed as failed:
        assert (failed.code, failed.may_have_executed) == ("cancelled", False), failed
    due_ms = int(time.time() * 1000) + 1000
    await bus.emit("depot.late", {"due_ms": due_ms}, after=1, content_type=content_type)


async def refused(bus: Bus) -> None:
    naive = datetime.datetime(2099, 1, 1)
    for queue, when, code in (
        (DEPOT, {"after": 400 * 86400.0}, "bad_request"),
        (DEPOT, {"at": naive}, "bad_request"),
        (DEPOT, {"after": 1.0, "at": naive}, "bad_request"),
        ("nobody", {"after": 1.0}, "unroutable"),
        ("no queue", {"after": 1.0}, "bad_request"),
        ("q" * 200, {"after": 1.0}, "bad_request"),
    ):
        try:
            await bus.command(queue, "stamp", {}).send(**when)
            raise AssertionError(when)
        except CallFailed as failed:
            assert (failed.code, failed.may_have_executed) == (code, False), failed


async def put_off(bus: Bus, content_type: ContentType) -> None:
    def call(method: str, fails: int, key: str) -> object:
        arguments = {"fails": fails}
        return bus.command(
            DEPOT, method, arguments, timeout=30, idempotency_key=key, content_type=content_type
        )

    assert await call("stubborn", 2, f"{content_type}-short") == 3  # type: ignore[misc]
    assert await call("patient", 1, f"{content_type}-long") == 2  # type: ignore[misc]
    try:
        await call("stubborn", 9, f"{content_type}-vain")  # type: ignore[misc]
        raise AssertionError("it fails four times")
    except HandlerError as error:
        assert error.error == {"Busy": 4}, error


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    async with Bus(amqp, redis, namespace=namespace, app="depot.py") as bus:
        for content_type in (MSGPACK, JSON):
            await later(bus, content_type)
            await put_off(bus, content_type)
        await refused(bus)
        noted = Method(DEPOT, "noted", is_recorded=False)
        ticket = await bus.call(noted, {"dies": False}, {"idempotency_key": "n"}).submit()
        assert not ticket.recorded and await bus.wait(ticket) == 1
        assert (await bus.cancel(ticket)).state == "told"
    print("all was as it should be")


asyncio.run(main())
