"""The calls that a worker holds, and those that were cancelled before it had them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from .envelope import CLOCK_ALLOWANCE

_REMEMBERED_MAX = 20_000


class Held:
    """Calls by their ids."""

    def __init__(self) -> None:
        self._running: dict[str, Callable[[], None]] = {}
        self._cancelled: dict[str, float] = {}

    @contextlib.contextmanager
    def running(self, call_id: str, cancel: Callable[[], None]) -> Iterator[None]:
        """Meanwhile `cancel` is called if the call is cancelled."""
        self._running[call_id] = cancel
        try:
            yield
        finally:
            if self._running.get(call_id) is cancel:
                del self._running[call_id]

    def cancel(self, call_id: str, left: float) -> None:
        """Cancels a call with `left` seconds to its deadline: it is told if it runs, and otherwise not
        started for as long as it could be.
        """
        if (told := self._running.get(call_id)) is not None:
            told()
        while len(self._cancelled) >= _REMEMBERED_MAX:
            del self._cancelled[next(iter(self._cancelled))]
        self._cancelled[call_id] = time.monotonic() + left + CLOCK_ALLOWANCE

    def is_cancelled(self, call_id: str) -> bool:
        """Whether a call is not to be started."""
        until = self._cancelled.get(call_id)
        if until is not None and until <= time.monotonic():
            del self._cancelled[call_id]
            return False
        return until is not None

    async def cancelling(self, call_id: str, task: asyncio.Task[object]) -> None:
        """Waits for a task, which is cancelled if the call is."""

        def cancel() -> None:
            task.cancel()

        with self.running(call_id, cancel):
            await asyncio.wait([task])
