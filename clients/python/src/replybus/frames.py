"""What the broker passes on and the library of the wire stops at.

pamqp refuses names and texts that are no UTF-8, times that are none and tables in each other, and
the connection ends with it: as the message is delivered again after that, so does the next one. Here
these are read as what they are, and a worker sees that the message is malformed.

Nor can it write all that it reads: values of headers keep their bytes here, so that a message that is
published once more, to wait or as a dead letter, says what it said.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from pamqp import commands, decode, encode

from .codec import is_deeper

#: The name of a header that stands for a table that can't be read; no message can have it.
UNREADABLE = "\udcff"
#: Tables and arrays in each other, that of the headers counted.
_DEPTH_MAX = 32


@dataclass(frozen=True)
class Written:
    """A value of a header that has no text, and is written as it was read: its type and its bytes."""

    data: bytes


class Integer(int):
    """An integer of a header, which is written in the type that it was read in."""

    data: bytes


def _short_text(value: bytes) -> tuple[int, str]:
    end = value[0] + 1
    return end, value[1:end].decode(errors="surrogateescape")


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    try:
        length, table = cast("tuple[int, dict[str, Any]]", _read_table(value))
        return length, {UNREADABLE: True} if is_deeper(table, _DEPTH_MAX) else table
    except (ValueError, RecursionError, OverflowError):
        (length,) = struct.unpack_from(">I", value)
        return length + 4, {UNREADABLE: True}


def _time(value: bytes) -> tuple[int, datetime.datetime | None]:
    try:
        return _read_time(value)
    except (ValueError, OverflowError, OSError):
        return 8, None


def _long_text(value: bytes) -> tuple[int, str | Written]:
    end, text = _read_text(value)
    return (end, text) if isinstance(text, str) else _of(b"S", end)(value)


def _of(kind: bytes, size: int) -> Callable[[bytes], tuple[int, Written]]:
    def read(value: bytes) -> tuple[int, Written]:
        if len(value) < size:
            raise ValueError("it ends within a value")
        return size, Written(kind + value[:size])

    return read


def _integer(
    kind: bytes, read: Callable[[bytes], tuple[int, int]]
) -> Callable[[bytes], tuple[int, Integer]]:
    def read_typed(value: bytes) -> tuple[int, Integer]:
        size, number = read(value)
        typed = Integer(number)
        typed.data = kind + value[:size]
        return size, typed

    return read_typed


def _value(value: Any) -> bytes:
    return value.data if isinstance(value, Written | Integer) else _write_value(value)


_read_table, _read_time, _read_text = decode.field_table, decode.timestamp, decode.long_str
_METHODS = cast("dict[str, Any]", decode.METHODS)
_METHODS.update(shortstr=_short_text, table=_table, timestamp=_time)
_VALUES = cast("dict[bytes, Any]", decode.TABLE_MAPPING)
_VALUES[b"S"] = _long_text
# Decimals, doubles and times.
_VALUES.update({kind: _of(kind, size) for kind, size in ((b"D", 5), (b"d", 8), (b"T", 8))})
_VALUES.update(
    {bytes([kind]): _integer(bytes([kind]), _VALUES[bytes([kind])]) for kind in b"bBsuIilL"}
)
_write_value = encode.encode_table_value
setattr(encode, "encode_table_value", _value)  # noqa: B010


def _is_whole(_: object) -> None:
    """Takes the place of a check that exchanges are called by 127 bytes at most: RabbitMQ takes 255,
    as every short text has, and those by which events are delayed have two names in theirs.
    """


for _kind in (commands.Exchange.Declare, commands.Exchange.Bind, commands.Basic.Publish):
    setattr(_kind, "validate", _is_whole)  # noqa: B010
setattr(commands.Queue.Bind, "validate", _is_whole)  # noqa: B010


def is_text(text: str) -> bool:
    """False of a text that came as something else than UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
