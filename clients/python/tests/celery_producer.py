"""Calls by Celery, and Celery's task by the bus: run by the tests of the workspace."""

from __future__ import annotations

import os

from celery_calls import add, app, bus

delayed = add.delay("ada", 250)
assert delayed.get(timeout=60) == 250
# Under the same id it is the same command.
assert add.apply_async(("ada", 250), task_id=delayed.id).get(timeout=60) == 250
assert add.delay("ada", 2000).get(timeout=60) == {"refused": {"LimitReached": 1000}}
served = bus().bus.command("tasks.requests", "add", {"cart": "ada", "cents": 100}, timeout=60)
assert bus().run(served) == 350
with app.connection() as connection:
    channel = connection.default_channel
    channel.queue_delete(os.environ["CELERY_QUEUE"])
    channel.exchange_delete(os.environ["CELERY_QUEUE"])
print("all was as it should be")
