"""Serves the partitions of a belt, until its input ends: run by the tests of the workspace."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from replybus import Bus, Service

belt = Service("belt.requests", "Belt", partitions=16)


@belt.command
async def put(key: str, number: int) -> None:
    # Work of other lengths: what is not kept in order comes out of it.
    await asyncio.sleep(random.random() / 100)
    with (Path(os.environ["BELT_FILES"]) / key).open("a") as file:
        file.write(f"{os.getpid()} {number}\n")


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    async with Bus(amqp, redis, namespace=namespace, app="belt.py") as bus:
        serving = await bus.serve(belt)
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await serving.shutdown()
    print("all was as it should be")


asyncio.run(main())
