"""Serves what callers in Rust call, until its input ends: run by the tests of the workspace."""

from __future__ import annotations

import asyncio
import collections
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

from replybus import Bus, HandlerError, Service, current

desk = Service("desk.requests", "Desk")
sums: collections.Counter[str] = collections.Counter()
dropped = 0


@desk.query
async def echo(note: dict[str, Any]) -> dict[str, Any]:
    return note


@desk.command
async def add(to: str, amount: int) -> int:
    if sums[to] + amount > 100:
        raise HandlerError({"Full": 100})
    sums[to] += amount
    return sums[to]


@desk.query
async def wait() -> None:
    global dropped
    try:
        await asyncio.Event().wait()
    finally:
        dropped += 1


@desk.query
async def cancelled() -> int:
    return dropped


@desk.command
async def work() -> str:
    context = current()
    assert context is not None
    await context.cancelled.wait()
    return "told"


@desk.stream
async def count(to: int) -> AsyncIterator[int]:
    for number in range(to):
        if number == 1000:
            raise HandlerError({"Full": number})
        yield number


@desk.query
async def who() -> dict[str, str]:
    context = current()
    assert context is not None
    trace = context.trace["traceparent"][3:35]
    tenant = context.metadata.get("tenant", "")
    return {"caller": context.caller or "", "tenant": tenant, "trace": trace}


@desk.command
async def fragile(fails: bool) -> int:
    context = current()
    assert context is not None
    if fails:
        raise RuntimeError("it was told to")
    if context.attempt == 1:
        os._exit(9)
    return context.attempt


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    async with Bus(amqp, redis, namespace=namespace, app="worker.py") as bus:

        async def noted(event: dict[str, int]) -> None:
            await bus.emit("desk.heard", event)

        serving = await bus.serve(desk)
        group = await bus.subscribe("notes", "desk.noted", noted)
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await group.shutdown()
        await serving.shutdown()
    print("all was as it should be")


asyncio.run(main())
