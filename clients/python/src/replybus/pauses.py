"""Pauses between attempts that grow, and differ from those of other processes."""

from __future__ import annotations

import random


class Pauses:
    """Each pause is up to twice the one before: all of them between these two, in seconds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest, self._pause = first, longest, first

    def next(self) -> float:
        """The next pause: between half of it and all of it."""
        pause = self._pause
        self._pause = min(pause * 2, self._longest)
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begins anew with the first."""
        self._pause = self._first
