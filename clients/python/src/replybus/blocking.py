"""A bus for programs that have no event loop: Celery tasks, Django views, scripts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, TypeVar

from .bus import Bus

T = TypeVar("T")


class BlockingBus:
    """A bus whose event loop runs in a thread of its own. Any number of threads may use it.

    Processes that fork make it after the fork: neither the thread nor its connections come along.
    """

    def __init__(self, amqp_url: str, redis_url: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="replybus", daemon=True)
        self.bus = Bus(amqp_url, redis_url, **options)

    def open(self) -> BlockingBus:
        """Connects, as `with` does.

        Raises:
            redis.exceptions.RedisError: Redis can't be reached.
        """
        self._thread.start()
        self.run(self.bus.__aenter__())
        return self

    def close(self) -> None:
        """Ends the connections and the thread."""
        self.run(self.bus.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> BlockingBus:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, work: Awaitable[T]) -> T:
        """Does something with the bus to its end: `run(bus.bus.query(..))`.

        Raises:
            whatever it raises; interrupted, it is cancelled.
        """

        async def done() -> T:
            return await work

        running = asyncio.run_coroutine_threadsafe(done(), self._loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise
