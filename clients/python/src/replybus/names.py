"""The only place that spells a queue's full name or a key of Redis."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_IS_UUID = re.compile(_UUID)


def is_id(text: object) -> bool:
    """True of the id of a call: a UUID in lower case, with hyphens."""
    return isinstance(text, str) and _IS_UUID.fullmatch(text) is not None


def new_id() -> str:
    """An id that no other call has."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Names:
    """The names of one bus."""

    namespace: str = ""
    key_prefix: str = "replybus:"

    @property
    def _dot(self) -> str:
        return f"{self.namespace}." if self.namespace else ""

    def full(self, name: str) -> str:
        """A queue or exchange, as the broker knows it."""
        return f"{self._dot}{name}"

    def inbox(self, process: str) -> str:
        return f"{self.key_prefix}{self._dot}inbox:{{{process}}}"

    def is_inbox(self, name: str) -> bool:
        """True if this, which comes from the network, is the inbox of a process of this bus."""
        start = re.escape(f"{self.key_prefix}{self._dot}inbox:{{")
        return re.fullmatch(f"{start}{_UUID}}}", name) is not None

    def response(self, call_id: str) -> str:
        return f"{self._dot}response:{call_id}"

    def claim(self, name: str) -> str:
        return f"{self.key_prefix}{self._dot}claim:{name}"

    def given_up(self, queue: str) -> str:
        return f"{self.key_prefix}{self._dot}given-up:{{{queue}}}"

    def instances(self, queue: str) -> tuple[str, str]:
        """The ids of those who serve a queue by when they count as gone, and their records."""
        records = f"{self.key_prefix}{self._dot}instances:{{{queue}}}"
        return f"{records}:until", records

    def delayed(self, place: str) -> tuple[str, str]:
        """The ids of what is delayed for a queue by when it is due, and the notes of it."""
        notes = f"{self.key_prefix}{self._dot}delayed:{{{place}}}"
        return f"{notes}:due", notes

    def served(self) -> str:
        return f"{self.key_prefix}{self._dot}instances:queues"

    @property
    def control(self) -> str:
        return self.full("replybus.control")


def command_name(queue: str, method: str, idempotency_key: str | None, call_id: str) -> str:
    """What a command is claimed under; the queue is without the namespace."""
    if idempotency_key is not None:
        return f"{queue}:{method}:key:{idempotency_key}"
    return f"{queue}:{method}:id:{call_id}"
