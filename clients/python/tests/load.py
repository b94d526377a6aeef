"""Calls a service in Rust until its input ends, and expects every answer: run by the tests of the
workspace, which cut its connections meanwhile."""

from __future__ import annotations

import asyncio
import sys

from replybus import Bus

DESK = "desk.requests"
NOTE = {"text": "", "numbers": [1], "largest": 2, "share": 0.5, "inner": None}


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    async with Bus(amqp, redis, namespace=namespace, app="load.py") as bus:
        ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
        number = 0
        while not ended.done():
            number += 1
            to = str(number)
            calls = [bus.query(DESK, "echo", {"note": NOTE}, timeout=60) for _ in range(100)]
            arguments = {"to": to, "amount": 1}
            calls.append(bus.command(DESK, "add", arguments, idempotency_key=to, timeout=60))
            answers = await bus.gather(calls)
            assert answers == [NOTE] * 100 + [1], answers
            print("answered", flush=True)
    print("all was as it should be")


asyncio.run(main())
