"""The two encodings of bodies, and what of them is refused."""

from __future__ import annotations

import json
from typing import Any, Final, Literal, TypeAlias, get_args

import msgpack

ContentType: TypeAlias = Literal["application/msgpack", "application/json"]

MSGPACK: Final[ContentType] = "application/msgpack"
JSON: Final[ContentType] = "application/json"

#: Bytes of the body of a request, and of a reply with all that is around it.
REQUEST_BYTES_MAX = 262_144
REPLY_BYTES_MAX = 1_048_576
#: Values in each other in a body.
DEPTH_MAX = 64


def encode(content_type: ContentType, value: Any) -> bytes:
    """A value as bytes.

    Raises:
        ValueError: it has no such form: another type, a number that is none, a loop.
    """
    try:
        if content_type == JSON:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode()
        return bytes(msgpack.packb(value, use_bin_type=True))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"it can't be encoded as {content_type}: {error}") from error


def decode(content_type: ContentType, data: bytes) -> Any:
    """The one value in these bytes.

    Raises:
        ValueError: there is none, there is more, or it nests deeper than is allowed.
    """
    try:
        if content_type == JSON:
            value = json.loads(data.decode())
        else:
            value = msgpack.unpackb(data, raw=False, strict_map_key=False)
    except (TypeError, ValueError, RecursionError, msgpack.UnpackException) as error:
        raise ValueError(f"it is no {content_type}: {error}") from error
    if is_deeper(value, DEPTH_MAX):
        raise ValueError(f"it nests deeper than {DEPTH_MAX}")
    return value


def content_type_of(name: str | None) -> ContentType:
    """The encoding that a message names.

    Raises:
        ValueError: it names another one, or another charset.
    """
    kind, *parameters = (name or MSGPACK).lower().split(";")
    for parameter in parameters:
        key, _, value = parameter.strip().partition("=")
        if key == "charset" and value.strip('"') != "utf-8":
            raise ValueError(f"content type {name!r}: the charset must be utf-8")
    for known in get_args(ContentType):
        if kind.strip() == known:
            return known  # type: ignore[no-any-return]
    raise ValueError(f"content type {name!r} is not known; there are {MSGPACK} and {JSON}")


def content_type_in(data: bytes) -> ContentType:
    """The encoding of a map, by its first byte."""
    return JSON if data[:1] == b"{" else MSGPACK


def is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(one.values())
            elif isinstance(one, list | tuple):
                inner.extend(one)
        if not inner:
            return False
        level = inner
    return True
