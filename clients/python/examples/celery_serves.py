"""A service on replybus whose work is done by Celery tasks: callers move first, tasks later.

python celery_serves.py
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from celery import Celery

from replybus import Bus, HandlerError, Service, current

app = Celery("carts", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.task_default_queue = os.environ.get("CELERY_QUEUE", "carts")

tasks = Service("tasks.requests", "Tasks")


@tasks.command
async def add(cart: str, cents: int) -> Any:
    # Claimed here, it is sent once for each key; the task runs as often as Celery delivers it, and
    # knows by its id that it is the same.
    call = current()
    assert call is not None
    left = call.left() or 60

    def done() -> Any:
        sent = app.send_task("carts.add", [cart, cents], task_id=call.call_id)
        return sent.get(timeout=left)

    result = await asyncio.to_thread(done)
    if isinstance(result, dict) and "refused" in result:
        raise HandlerError(result["refused"])  # how this task says no
    return result


async def main() -> None:
    namespace = os.environ.get("BUS_NAMESPACE", "")
    async with Bus(os.environ["AMQP_URL"], os.environ["REDIS_URL"], namespace=namespace) as bus:
        serving = await bus.serve(tasks)
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until its input ends
        await serving.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
