"""The frames of a stream, and the credit that is given for them, byte by byte."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from .codec import REPLY_BYTES_MAX

_HEAD = struct.Struct(">BBIQ")
_LENGTH = struct.Struct(">I")
_CREDIT = struct.Struct(">16sIQB")
#: Bytes before the items of a frame, and before each item: they are counted as well.
FRAME_HEAD, ITEM_HEAD = _HEAD.size, _LENGTH.size
#: No reply begins with it.
MARK = 0xC1

#: Bytes that a producer may be ahead unless a reader says otherwise, and the most it may say.
WINDOW, WINDOW_MAX = 1024 * 1024, 16 * 1024 * 1024
#: Frames that it may be ahead.
FRAMES_MAX = 64


class Kind(IntEnum):
    """What a frame is."""

    ITEMS = 0
    END = 1
    HANDLER_ERROR = 2
    FAULT = 3
    #: Another has it: of streams of arguments.
    WAIT = 5


@dataclass(frozen=True)
class Frame:
    """A frame that was read."""

    kind: Kind
    producer: int
    #: Of its first item; of an end the number behind that of the last item.
    number: int
    rest: bytes

    def items(self) -> list[bytes]:
        """The items in it.

        Raises:
            ValueError: it does not come apart into items.
        """
        found, at = [], 0
        while at < len(self.rest):
            if at + _LENGTH.size > len(self.rest):
                raise ValueError("the frame ends within the length of an item")
            (length,) = _LENGTH.unpack_from(self.rest, at)
            at += _LENGTH.size
            if length > REPLY_BYTES_MAX or at + length > len(self.rest):
                raise ValueError("an item is longer than its frame, or than is allowed")
            found.append(self.rest[at : at + length])
            at += length
        return found


def is_frame(data: bytes) -> bool:
    """True of what is a frame and no reply."""
    return data[:1] == bytes([MARK])


def read(data: bytes) -> Frame | None:
    """A frame; `None` of what is none of an answer."""
    if not is_frame(data) or len(data) < _HEAD.size:
        return None
    _, kind, producer, number = _HEAD.unpack_from(data)
    if kind > Kind.FAULT and kind != Kind.WAIT:
        return None
    return Frame(Kind(kind), producer, number, data[_HEAD.size :])


def write(kind: Kind, producer: int, number: int, rest: bytes = b"") -> bytes:
    """A frame with this behind its head."""
    return _HEAD.pack(MARK, kind, producer, number) + rest


def write_items(producer: int, number: int, items: Iterable[bytes]) -> bytes:
    """A frame of these items; of none it is a sign of life."""
    rest = b"".join(_LENGTH.pack(len(item)) + item for item in items)
    return write(Kind.ITEMS, producer, number, rest)


@dataclass(frozen=True)
class Credit:
    """What a reader says: all items below `taken` were taken."""

    call_id: str
    producer: int
    taken: int
    #: All from there on is to be sent again.
    again: bool = False
    #: Nobody reads any more.
    gone: bool = False

    def write(self) -> bytes:
        flags = int(self.again) | int(self.gone) << 1
        return _CREDIT.pack(uuid.UUID(self.call_id).bytes, self.producer, self.taken, flags)


_FEED_CREDIT = struct.Struct(">BBIQB16s")
_FEED_KIND, _INBOX_BYTES_MAX = 4, 255


@dataclass(frozen=True)
class FeedCredit:
    """What the reader of a stream of arguments says to its producer, the caller."""

    #: That which the reader gave the stream, and its number.
    stream_id: str
    reader: int
    taken: int
    again: bool = False
    gone: bool = False
    #: Its run has the claim of the call, and no other has.
    holds_claim: bool = False
    #: Where its frames go.
    inbox: str = ""

    def write(self) -> bytes:
        flags = int(self.again) | int(self.gone) << 1 | int(self.holds_claim) << 2
        stream = uuid.UUID(self.stream_id).bytes
        said = (MARK, _FEED_KIND, self.reader, self.taken, flags, stream)
        return _FEED_CREDIT.pack(*said) + self.inbox.encode()


def read_feed_credit(data: bytes) -> FeedCredit | None:
    """A credit for a stream of arguments; `None` of what is none."""
    inbox = data[_FEED_CREDIT.size :]
    if len(data) < _FEED_CREDIT.size or data[1] != _FEED_KIND or len(inbox) > _INBOX_BYTES_MAX:
        return None
    _, _, reader, taken, flags, stream = _FEED_CREDIT.unpack_from(data)
    try:
        name = inbox.decode()
    except UnicodeDecodeError:
        return None
    again, gone, holds = (bool(flags & flag) for flag in (1, 2, 4))
    return FeedCredit(str(uuid.UUID(bytes=stream)), reader, taken, again, gone, holds, name)


def read_credits(body: bytes) -> list[Credit]:
    """The credits in a message; none if it has another length."""
    if len(body) % _CREDIT.size or len(body) > 1_000 * _CREDIT.size:
        return []
    return [
        Credit(str(uuid.UUID(bytes=call_id)), producer, taken, bool(flags & 1), bool(flags & 2))
        for call_id, producer, taken, flags in _CREDIT.iter_unpack(body)
    ]
