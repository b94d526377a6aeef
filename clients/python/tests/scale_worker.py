"""Serves a scale, whose arguments are streams, until its input ends: run by the tests of the
workspace."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator

from replybus import Bus, CallFailed, HandlerError, Service

scale = Service("scale.requests", "Scale")


@scale.command(fed="amounts")
async def total(start: int, amounts: AsyncIterator[int]) -> int:
    try:
        async for amount in amounts:
            start += amount
    except CallFailed as failed:
        raise HandlerError("it broke off") from failed
    return start


@scale.query(fed="amounts")
async def some(amounts: AsyncIterator[int]) -> list[int]:
    return [await anext(amounts) for _ in range(3)]


@scale.command(fed="amounts")
async def dies(amounts: AsyncIterator[int]) -> int:
    for _ in range(3):
        await anext(amounts)
    os._exit(9)


@scale.command
async def plain() -> int:
    return 1


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    async with Bus(amqp, redis, namespace=namespace, app="scale.py") as bus:
        serving = await bus.serve(scale)
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await serving.shutdown()


asyncio.run(main())
