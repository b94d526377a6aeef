"""Serves a depot to callers in Rust, until its input ends: run by the tests of the workspace."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from replybus import Bus, HandlerError, Retry, RetryLater, Service, current

depot = Service("depot.requests", "Depot")


def attempt() -> int:
    context = current()
    assert context is not None
    return context.attempt


def run(fails: int) -> int:
    if attempt() <= fails:
        raise RetryLater({"Busy": attempt()})
    return attempt()


@depot.command
async def stamp() -> int:
    return int(time.time() * 1000)


@depot.command(retry=Retry(max=3, base=0.02))
async def stubborn(fails: int) -> int:
    return run(fails)


@depot.command(retry=Retry(max=2, base=1.1))
async def patient(fails: int) -> int:
    return run(fails)


@depot.command
async def plain(fails: bool) -> int:
    if fails:
        raise RetryLater({"Busy": 0})
    return 0


@depot.command(own_record=True)
async def noted(dies: bool) -> int:
    """Its record is a file, which is written once for each request."""
    context = current()
    assert context is not None
    record = Path(os.environ["DEPOT_RECORDS"]) / context.record_name()
    try:
        with record.open("x") as file:
            file.write("1")
    except FileExistsError:
        return int(record.read_text())
    if dies:
        os._exit(9)
    raise HandlerError("it was to die")


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    async with Bus(amqp, redis, namespace=namespace, app="depot.py") as bus:
        serving = await bus.serve(depot)
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await serving.shutdown()
    print("all was as it should be")


asyncio.run(main())
