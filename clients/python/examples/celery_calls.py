"""Celery tasks that call a service on replybus: whoever has `add.delay(..)` need not change.

celery -A celery_calls worker
"""

from __future__ import annotations

import atexit
import functools
import os
from typing import Any

from celery import Celery

from replybus import BlockingBus, CallFailed, HandlerError

app = Celery("carts", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.task_default_queue = os.environ.get("CELERY_QUEUE", "carts")


@functools.cache
def bus() -> BlockingBus:
    """The bus of this process, opened by its first task: after the fork."""
    namespace = os.environ.get("BUS_NAMESPACE", "")
    servers = os.environ["AMQP_URL"], os.environ["REDIS_URL"]
    opened = BlockingBus(*servers, namespace=namespace, app="celery").open()
    atexit.register(opened.close)
    return opened


@app.task(bind=True, name="carts.add", acks_late=True, max_retries=5)
def add(self: Any, cart: str, cents: int) -> Any:
    # The task's id is the key: delivered again, or retried, it is the same command, and done once.
    key = f"celery-{self.request.id}"
    arguments = {"cart": cart, "cents": cents}
    call = bus().bus.command("cart.requests", "add", arguments, timeout=5, idempotency_key=key)
    try:
        return bus().run(call)
    except HandlerError as refused:
        return {"refused": refused.error}
    except CallFailed as failed:
        if failed.code == "bad_request":
            raise
        raise self.retry(exc=failed, countdown=failed.retry_after or 1) from failed
