"""Messages that could not be handled, kept for somebody to look at."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

from .errors import CallFailed
from .link import Link
from .message import Message
from .names import Names
from .pauses import Pauses

log = logging.getLogger(__name__)

_HEADERS_MAX, _BODY_MAX = 16 * 1024, 262_144
_TEXT_MAX = 512
#: Times that a message in a quorum queue may be given back: as good as without limit.
RETURNS_MAX = 2_147_483_647
#: Seconds after which a letter is dropped that the broker does not take.
_WITHIN = 20.0
_LEFT_OUT = ("deadline", "repeated", "x-replybus-due")
_RENAMED = {"CC": "dead-letter-cc", "BCC": "dead-letter-bcc"}


@dataclass(frozen=True)
class Cause:
    """Why a message is a dead letter."""

    code: str
    text: str
    may_have_executed: bool
    known_until_ms: int | None = None
    attempts: int | None = None


class DeadLetters:
    """The dead letters of one queue, which is named without the namespace."""

    def __init__(self, link: Link, names: Names, queue: str) -> None:
        self._link, self._of = link, names.full(queue)

    @property
    def queue(self) -> str:
        """Where they are kept."""
        return f"{self._of}.dead"

    def arguments(self, queue_type: str) -> dict[str, Any]:
        """What the queue is declared with."""
        arguments: dict[str, Any] = {
            "x-queue-type": queue_type,
            "x-max-length": 100_000,
            "x-max-length-bytes": 1_073_741_824,
            "x-overflow": "reject-publish",
        }
        if queue_type == "quorum":
            arguments["x-delivery-limit"] = RETURNS_MAX
        return arguments

    async def keep(self, message: Message, cause: Cause) -> None:
        """Keeps a message, or drops and logs it, if the broker does not take it for 20 s."""
        about, body = self._letter(message, cause)
        name = message.correlation_id or message.message_id
        until = time.monotonic() + _WITHIN
        pauses = Pauses(0.1, 2.0)
        while (left := until - time.monotonic()) > 0:
            try:
                await self._link.publish(self.queue, body, about, within=left)
                log.warning("%r is a dead letter in %s: %s", name, self.queue, cause.code)
                return
            except CallFailed as failed:
                log.warning("a dead letter was not taken: %s", failed)
            await asyncio.sleep(pauses.next())
        log.error("a dead letter was dropped: %r of %s: %s", name, self._of, cause.code)

    def _letter(self, message: Message, cause: Cause) -> tuple[Any, bytes]:
        kept: dict[str, Any] = {}
        size, left_out = 0, 0
        for name, value in message.headers.items():
            if name in _LEFT_OUT or (name.startswith("dead-letter-") and "redriven" not in name):
                continue
            size += len(name) + len(str(value))
            if size > _HEADERS_MAX:
                left_out += 1
                continue
            kept[_RENAMED.get(name, name)] = value
        body = message.body[:_BODY_MAX]
        text = "".join(c for c in cause.text if c.isprintable())[:_TEXT_MAX]
        said = {
            "reason": cause.code,
            "message": text,
            "queue": self._of if message.partition is None else f"{self._of}.{message.partition}",
            "at": str(int(time.time() * 1000)),
            "may-have-executed": "true" if cause.may_have_executed else "false",
            "known-until": None if cause.known_until_ms is None else str(cause.known_until_ms),
            "attempts": None if cause.attempts is None else str(cause.attempts),
            "malformed": "true" if message.malformed() else None,
            "user-id": message.user_id,
        }
        if left_out or len(body) < len(message.body):
            cut = f"{len(body)} of {len(message.body)} bytes of body kept"
            said["shortened"] = f"{left_out} headers left out, {cut}"
        kept |= {f"dead-letter-{name}": value for name, value in said.items() if value is not None}
        return message.properties(kept, delivery_mode=2), body
