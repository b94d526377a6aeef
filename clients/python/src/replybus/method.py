"""A method of a contract, as far as its callers have to know it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from .codec import ContentType


class CallOptions(TypedDict, total=False):
    """What may be said of one call."""

    #: Seconds that the reply is waited for; of a call that nobody waits for, until when it may start.
    timeout: float
    #: Of a command: it happens once for each key. 1 to 255 bytes without control characters.
    idempotency_key: str
    priority: Literal["low", "normal", "high"]
    #: For the handler, and for the calls it makes.
    metadata: Mapping[str, str]
    content_type: ContentType


@dataclass(frozen=True)
class Method:
    """A method, by name."""

    queue: str
    name: str
    is_command: bool = True
    #: Seconds.
    timeout: float = 5.0
    #: The argument that calls are divided by, and among how many queues.
    key: str | None = None
    partitions: int | None = None
    #: Its service: a name for people.
    service: str = ""
    #: There is a record of each call, as of all commands that keep none of their own.
    is_recorded: bool = True
    #: Its handler may put it off.
    is_put_off: bool = False
    #: Seconds that it may take, of a command that takes long.
    job: float | None = None

    def place(self, arguments: Mapping[str, Any]) -> tuple[str, str | None]:
        """The queue of a call, without the namespace, and what the message says of its partition.

        Raises:
            ValueError: the key is missing, or no text or integer.
        """
        if self.key is None or self.partitions is None:
            return self.queue, None
        key = arguments.get(self.key)
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise ValueError(f"argument {self.key} is the key of a partition: a text or an integer")
        number = zlib.crc32(str(key).encode())
        return f"{self.queue}.{number % self.partitions}", f"{number}/{self.partitions}"
