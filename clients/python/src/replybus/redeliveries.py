"""Deliveries that are not the first, counted before anything of them is run: a message that kills its
workers is not run for ever.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from .claims import ATTEMPTS_MAX, LEASE_MS, Claim, Claims, Done, Refused
from .errors import CallFailed
from .message import Message
from .tasks import ended


class Redelivery:
    """One delivery of a message that was delivered before.

    It is counted by its name, or without one by what the message is; `queue` is without the namespace.
    """

    def __init__(self, claims: Claims, queue: str, name: str | None, message: Message) -> None:
        self._claims, self._is_named = claims, name is not None
        name = digest(message) if name is None else name
        lease = 0 if self._is_named else LEASE_MS
        self._claim = Claim(f"{queue}:delivery:{name}", lease_ms=lease)
        self._keeping: asyncio.Task[None] | None = None

    async def begin(self, until: float, is_over: Callable[[], bool]) -> int:
        """Counts it. Returns which run of the message it is.

        Raises:
            Refused: it is not to be run; as `interrupted`, if there were as many as are allowed.
        """
        taken = await self._claims.take(self._claim, until, is_over)
        if isinstance(taken, Done):
            raise Refused(CallFailed("interrupted", "its count was ended by somebody", True))
        if taken.attempt >= ATTEMPTS_MAX:
            await self._claims.release(self._claim)
            text = f"it was delivered {ATTEMPTS_MAX} times, and never settled"
            raise Refused(CallFailed("interrupted", text, True))
        if not self._is_named:
            self._keeping = asyncio.create_task(self._claims.keep(self._claim, lambda: None))
        return taken.attempt + 1

    async def end(self) -> None:
        """Takes it off the count: it came to an end, or is given back on purpose."""
        if self._keeping is not None:
            await ended(self._keeping)
        await self._claims.release(self._claim)


def digest(message: Message) -> str:
    """Names a message by what it is."""
    digest = hashlib.sha256()
    told = (message.kind, message.reply_to, message.content_type, message.app_id)
    headers = [(n, v) for n, v in message.headers.items() if not n.startswith("x-")]
    digest.update(repr((told, message.timestamp, headers)).encode(errors="replace"))
    digest.update(message.body)
    return digest.hexdigest()[:32]
