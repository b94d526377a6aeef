"""Messages of a service with jobs that wait with the broker, outside of its queue: those of jobs that
run, and those that no handler has been free for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from .context import as_text
from .envelope import Envelope
from .errors import CallFailed
from .levels import Destination
from .message import Message
from .retries import once_more, unrouted

if TYPE_CHECKING:
    from .serving import Serving

log = logging.getLogger(__name__)

#: Seconds after which a message that waits comes back.
LOOKED_AT_EVERY = 10.0
#: Seconds that the broker has to take one, and before it is published again.
_CONFIRMED_WITHIN, _AGAIN_AFTER = 20.0, 1.0
STARTED, MISSED = "x-replybus-job-started", "x-replybus-job-missed"


def says(message: Message, header: str) -> bool:
    """Whether a message has this header, and it is true."""
    return as_text(message.headers.get(header)) == "true"


def started_headers(read: Envelope, *, is_missed: bool) -> dict[str, Any]:
    """The headers of the message of a job that was started."""
    headers = unrouted(read.message.headers)
    headers.pop(MISSED, None)
    if read.message.reply_to is None:
        # They say when it is no longer to be started.
        headers.pop("deadline", None)
        headers.pop("x-replybus-due", None)
    headers |= {"repeated": True, STARTED: True}
    return headers | ({MISSED: True} if is_missed else {})


def unstarted_headers(read: Envelope) -> dict[str, Any]:
    """The headers of the message of a request that no handler was free for."""
    headers = once_more(read)
    headers.pop(MISSED, None)
    # The broker takes it for a new one.
    return headers | ({"repeated": True} if read.seen_before else {})


class WaitingRoom:
    """The waiting messages of one service."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._is_closed = False

    async def keep_started(self, read: Envelope, *, is_missed: bool = False) -> bool:
        """Has the broker keep the message of a job that was started, until it is to be looked at
        again; false if it takes none such.
        """
        return await self._keep(read, started_headers(read, is_missed=is_missed))

    async def put_off(self, read: Envelope) -> bool:
        """Has the broker keep a message that no handler was free for; false if it takes none such."""
        # Whoever waited for it does no more. What may have been begun, or was put back, is kept for
        # whoever says what became of it.
        is_over = read.is_late() and read.deadline is not None
        if is_over and not read.seen_before and not read.is_redriven:
            return True
        return await self._keep(read, unstarted_headers(read))

    async def _keep(self, read: Envelope, headers: dict[str, Any]) -> bool:
        bus, queue = self._serving.bus, self._serving.names.full(self._serving.service.queue)
        properties = read.message.properties(headers, delivery_mode=2)
        while not self._is_closed:
            try:
                await bus.delays.publish(
                    Destination("", queue),
                    read.message.body,
                    properties,
                    due=time.time() + LOOKED_AT_EVERY,
                    within=_CONFIRMED_WITHIN,
                )
                return True
            except CallFailed as failed:
                if failed.code in ("denied", "bad_request"):
                    log.warning(
                        "messages of %s can't be delayed: those of jobs are held until they are "
                        "done, which RabbitMQ ends after 30 minutes: %s",
                        queue,
                        failed,
                    )
                    self._is_closed = True
                else:
                    log.info("the message of a job is published again: %s", failed)
                    await asyncio.sleep(_AGAIN_AFTER)
        return False
