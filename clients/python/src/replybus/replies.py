"""A reply, as it travels."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import msgpack

from .codec import REPLY_BYTES_MAX, ContentType, content_type_in, decode, encode
from .errors import CallFailed, HandlerError

#: Bytes of a group of replies that is taken, and how many there may be.
_GROUP_REPLIES_MAX = 64


@dataclass(frozen=True)
class Reply:
    """A reply that was read."""

    body: Any
    #: Its service takes bundles.
    takes_bundles: bool


def read(frame: bytes, call_id: str, *, is_repeated: bool = False) -> Reply:
    """The reply in a frame.

    Raises:
        HandlerError: it is the handler's own error.
        CallFailed: it is any other, or can't be read.
    """
    try:
        reply = decode(content_type_in(frame), frame)
    except ValueError as error:
        text = f"the reply can't be read: {error}"
        raise CallFailed("bad_reply", text, True, call_id=call_id) from error
    status = reply.get("status") if isinstance(reply, dict) else None
    if status == "ok" and "body" in reply:
        return Reply(reply["body"], "us" in reply)
    code = reply.get("code") if status == "error" else None
    if not isinstance(code, str):
        raise CallFailed("bad_reply", "the reply is no reply", True, call_id=call_id)
    if code == "handler":
        raise HandlerError(reply.get("body"))
    executed, wait = reply.get("may_have_executed"), reply.get("retry_after_ms")
    if is_repeated:
        # A no is said of one copy of several.
        executed = True
    raise CallFailed(
        code,
        str(reply.get("message", "")),
        executed if isinstance(executed, bool) else None,
        retry_after=wait / 1000 if isinstance(wait, int) else None,
        call_id=call_id,
    )


def value(content_type: ContentType, body: Any, took_us: int | None = None) -> bytes:
    """The frame of a value; `took_us` tells a caller that bundles are taken.

    Raises:
        ValueError: it can't be encoded, or is too large.
    """
    reply = {"status": "ok", "body": body} | ({} if took_us is None else {"us": took_us})
    return _bounded(encode(content_type, reply))


def handler_error(content_type: ContentType, error: Any, took_us: int | None = None) -> bytes:
    """The frame of the handler's own error.

    Raises:
        ValueError: it can't be encoded, or is too large.
    """
    reply = {"status": "error", "code": "handler", "body": error}
    return _bounded(encode(content_type, reply | ({} if took_us is None else {"us": took_us})))


def fault(content_type: ContentType, failed: CallFailed) -> bytes:
    """The frame of anything else."""
    reply = {
        "status": "error",
        "code": failed.code,
        "message": failed.message.encode(errors="replace").decode(),
        "may_have_executed": failed.may_have_executed,
    }
    if failed.retry_after is not None:
        reply["retry_after_ms"] = int(failed.retry_after * 1000)
    return encode(content_type, reply)


def _bounded(frame: bytes) -> bytes:
    if len(frame) > REPLY_BYTES_MAX:
        raise ValueError(f"it has {len(frame)} bytes, {REPLY_BYTES_MAX} are allowed")
    return frame


def group(data: bytes) -> list[tuple[str, bytes]]:
    """The replies in a group: ids and frames. What is no group has none."""
    try:
        pairs = msgpack.unpackb(data, max_array_len=_GROUP_REPLIES_MAX * 2, max_map_len=0)
        return [(str(uuid.UUID(bytes=call_id)), bytes(frame)) for call_id, frame in pairs]
    except (TypeError, ValueError, msgpack.UnpackException):
        return []
