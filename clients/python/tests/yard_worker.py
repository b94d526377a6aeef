"""Serves a yard, whose hauls take long, until its input ends: run by the tests of the workspace."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from replybus import Bus, HandlerError, RetryLater, Service, current

yard = Service("yard.requests", "Yard")


@yard.command(job=3600)
async def haul(load: str) -> str:
    """Goes on until it is told, by a file, what it comes to."""
    context = current()
    assert context is not None
    word = Path(os.environ["YARD"]) / load
    await asyncio.to_thread(context.progress, context.attempt, 10, f"python hauls {load}")
    while not word.exists():
        if context.cancelled.is_set():
            if load == "left":
                raise RetryLater("it goes on elsewhere")
            return "told"
        await asyncio.sleep(0.02)
    if word.read_text() == "fails":
        raise HandlerError("it broke")
    return f"python {context.attempt}"


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    async with Bus(amqp, redis, namespace=namespace, app="yard.py") as bus:
        serving = await bus.serve(yard)
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await serving.shutdown(within=0)
    print("all was as it should be")


asyncio.run(main())
