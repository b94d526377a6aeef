"""What the broker passes on and the library of the wire stops at.

pamqp refuses names and texts that are no UTF-8, times that are none and tables in each other, and
the connection ends with it: as the message is delivered again after that, so does the next one. Here
these are read as what they are, and a worker sees that the message is malformed.
"""

from __future__ import annotations

import datetime
import struct
from typing import Any, cast

from pamqp import commands, decode

#: The name of a header that stands for a table that can't be read; no message can have it.
UNREADABLE = "\udcff"


def _short_text(value: bytes) -> tuple[int, str]:
    end = value[0] + 1
    return end, value[1:end].decode(errors="surrogateescape")


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    try:
        return cast("tuple[int, dict[str, Any]]", _read_table(value))
    except (ValueError, RecursionError, OverflowError):
        (length,) = struct.unpack_from(">I", value)
        return length + 4, {UNREADABLE: True}


def _time(value: bytes) -> tuple[int, datetime.datetime | None]:
    try:
        return _read_time(value)
    except (ValueError, OverflowError, OSError):
        return 8, None


_read_table, _read_time = decode.field_table, decode.timestamp
_METHODS = cast("dict[str, Any]", decode.METHODS)
_METHODS.update(shortstr=_short_text, table=_table, timestamp=_time)
cast("dict[bytes, Any]", decode.TABLE_MAPPING)[b"T"] = _time


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
