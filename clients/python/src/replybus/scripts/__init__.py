"""The scripts by which all who share the records of commands change them.

They are those of the Rust implementation, byte by byte: whether a command is run twice rests on all
workers doing the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, cast

from redis.asyncio import Redis

Script = Callable[[list[str], list[Any]], Awaitable[Any]]


class Scripts:
    """Each script as a function of its keys and arguments."""

    def __init__(self, redis: Redis) -> None:
        def script(name: str) -> Script:
            text = files(__package__).joinpath(f"{name}.lua").read_text()
            return cast(Script, redis.register_script(text))

        self.announce = script("announce")
        self.cancel = script("cancel")
        self.claim = script("claim")
        self.finish = script("finish")
        self.forget_delayed = script("forget_delayed")
        self.given_up = script("given_up")
        self.lapse = script("lapse")
        self.note = script("note")
        self.note_delayed = script("note_delayed")
        self.record = script("record")
        self.release = script("release")
        self.renew = script("renew")
        self.withdraw = script("withdraw")
