"""Tasks that are ended."""

from __future__ import annotations

import asyncio
from typing import Any

#: Seconds after which a task is cancelled again that has not ended.
_AGAIN_AFTER = 1.0


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancels tasks, and waits until they have ended.

    Again and again, if need be: a client that is cancelled when its answer has just come may take the
    answer, and the task goes on.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_AGAIN_AFTER)
    await asyncio.gather(*tasks, return_exceptions=True)


def is_end(error: BaseException) -> bool:
    """Whether this ends the running task, which was told to end.

    A handler also raises `CancelledError` if something is cancelled that it waits for: that is a
    fault like any other, and its message would never be settled if it ended the task.
    """
    task = asyncio.current_task()
    is_told = task is not None and task.cancelling() > 0
    return isinstance(error, asyncio.CancelledError) and is_told
