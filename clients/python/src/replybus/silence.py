"""How long the other end of a stream was silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

#: Seconds after which it matters whether it could be heard, and the longest between two looks that
#: count: each end looks every few, unless its process stands still.
_LOOK_MAX = 6.0


class Silence:
    """The time for which the other end of a stream was not heard, though it could have been.

    What can't be heard while a connection is away says nothing of the other end, and when it is back
    the other end may take as long: so from then on it is counted anew. Nor does time say anything in
    which this process stood still.

    Args:
        is_deaf: whether it can't be heard now.
    """

    def __init__(self, is_deaf: Callable[[], bool]) -> None:
        self._is_deaf = is_deaf
        self._lasted = 0.0
        self._looked_at = asyncio.get_running_loop().time()

    def broken(self) -> None:
        """It was heard."""
        self._lasted = 0.0
        self._looked_at = asyncio.get_running_loop().time()

    def look(self) -> float:
        """Seconds of silence up to now."""
        now = asyncio.get_running_loop().time()
        self._lasted += min(now - self._looked_at, _LOOK_MAX)
        self._looked_at = now
        if self._lasted >= _LOOK_MAX and self._is_deaf():
            self._lasted = 0.0
        return self._lasted
