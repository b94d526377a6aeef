"""The way of a delayed message through queues that each hold for a power of two of seconds: names,
routing keys and the patterns that select them. No broker here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

#: Queues on the way: of 1, 2, 4 seconds and so on to half a year.
LEVELS = 25
#: Bytes of an AMQP short string.
_NAME_BYTES = 255
_PLAIN = re.compile(r"[A-Za-z0-9._:-]+")


def routing_key(left: float, destination: str) -> str:
    """A word for each level, `1` where the message waits, the longest first; then where it goes.

    A part of a second counts as a whole, so that nothing is early.
    """
    seconds = min(max(0, math.ceil(left)), (1 << LEVELS) - 1)
    return ".".join([*format(seconds, f"0{LEVELS}b"), destination])


def first_at(level: int) -> str:
    """Selects what waits at this level first."""
    return "0." * _above(level) + "1.#"


def at_none() -> str:
    """Selects what waits nowhere."""
    return "0." * LEVELS + "#"


def at(level: int, waits: bool) -> str:
    """Selects what waits at this level, or does not, of what has passed those above it."""
    return "*." * _above(level) + ("1.#" if waits else "0.#")


def _above(level: int) -> int:
    return LEVELS - level - 1


@dataclass(frozen=True)
class Destination:
    """Where a message goes when it is due."""

    #: Empty for the default exchange.
    exchange: str
    #: The queue, or the routing key.
    key: str

    @property
    def name(self) -> str:
        """Both in one: no queue is called as an exchange's is, which has a colon."""
        return f"{self.exchange}:{self.key}" if self.exchange else self.key

    def pattern(self) -> str:
        """Selects what is due and goes there."""
        return "*." * LEVELS + self.name

    def check(self, way: Way) -> None:
        """Sees whether something can be delayed on its way there.

        Raises:
            ValueError: it can't.
        """
        if _PLAIN.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r}: a name has letters, digits, '.', '-' and '_'")
        names = (routing_key(0, self.name), way.due_queue(self), way.emitting(self))
        longest = max(map(len, names))
        if longest > _NAME_BYTES:
            too_long = longest - _NAME_BYTES
            raise ValueError(f"{self.name!r} is {too_long} bytes too long to be delayed")


@dataclass(frozen=True)
class Way:
    """The names of the queues and exchanges of one namespace."""

    #: The exchange at which delayed messages come in.
    entry: str

    @property
    def fresh(self) -> str:
        """The exchange behind it, which knows what has waited before."""
        return f"{self.entry}.fresh"

    @property
    def first(self) -> str:
        """The exchange behind that, which leads to the first level at which a message waits."""
        return f"{self.entry}.first"

    @property
    def due(self) -> str:
        """The exchange behind the last level."""
        return f"{self.entry}.due"

    @property
    def lost(self) -> str:
        """The exchange and the queue of messages that no binding leads on."""
        return f"{self.entry}.lost"

    @property
    def unheard(self) -> str:
        """The queue that forgets what it is given."""
        return f"{self.entry}.unheard"

    def level(self, level: int) -> str:
        """The queue of a level, and the exchange that leads into it or past it."""
        return f"{self.entry}.{1 << level}s"

    def below(self, level: int) -> str:
        """The exchange behind a level."""
        return self.level(level - 1) if level > 0 else self.due

    def due_queue(self, to: Destination) -> str:
        """The queue from which the messages to one destination go there."""
        return f"{self.due}.{to.name}"

    def emitting(self, to: Destination) -> str:
        """The exchange from which events go to one that they were emitted to."""
        return f"{self.entry}.to.{to.exchange}"
