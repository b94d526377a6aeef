"""A service: the methods that a queue is served with."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from .errors import CallFailed

Handler = TypeVar("Handler", bound=Callable[..., Any])
Kind = Literal["query", "command", "stream"]


@dataclass(frozen=True)
class Served:
    """A method, and its handler."""

    name: str
    kind: Kind
    handler: Callable[..., Any]
    signature: inspect.Signature

    def bind(self, arguments: Any) -> Mapping[str, Any]:
        """The arguments that the handler takes; those that it does not know are left out.

        Raises:
            CallFailed: `bad_request`: they are no map, or one is missing.
        """
        if not isinstance(arguments, dict):
            raise CallFailed("bad_request", "the arguments are no map", False)
        found: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            if name in arguments:
                found[name] = arguments[name]
            elif parameter.default is inspect.Parameter.empty:
                raise CallFailed("bad_request", f"argument {name} is missing", False)
        return found

    async def run(self, arguments: Mapping[str, Any]) -> Any:
        """The handler's value; raises what the handler does."""
        answer: Awaitable[Any] = self.handler(**arguments)
        return await answer

    def items(self, arguments: Mapping[str, Any]) -> AsyncIterator[Any]:
        """The items of a stream."""
        iterator: AsyncIterator[Any] = self.handler(**arguments)
        return iterator


class Service:
    """The methods of one queue, which is named without the namespace.

    A handler is an `async def` whose parameters are the arguments, by name; one with a default is an
    argument that may be left out. It raises `HandlerError` to answer with an error of its own. What
    else it raises counts as a panic: the work may have been done in part.
    """

    def __init__(
        self,
        queue: str,
        name: str | None = None,
        *,
        queue_type: Literal["classic", "quorum"] = "classic",
    ) -> None:
        self.queue, self.name, self.queue_type = queue, name or queue, queue_type
        self.methods: dict[str, Served] = {}

    @overload
    def query(self, handler: Handler, /) -> Handler: ...
    @overload
    def query(self, /, *, name: str) -> Callable[[Handler], Handler]: ...
    def query(self, handler: Any = None, /, *, name: str | None = None) -> Any:
        """Adds a method that changes nothing: it is run as often as it is delivered."""
        return self._adding("query", handler, name)

    @overload
    def command(self, handler: Handler, /) -> Handler: ...
    @overload
    def command(self, /, *, name: str) -> Callable[[Handler], Handler]: ...
    def command(self, handler: Any = None, /, *, name: str | None = None) -> Any:
        """Adds a method that changes something: it is claimed, and run once for each key."""
        return self._adding("command", handler, name)

    @overload
    def stream(self, handler: Handler, /) -> Handler: ...
    @overload
    def stream(self, /, *, name: str) -> Callable[[Handler], Handler]: ...
    def stream(self, handler: Any = None, /, *, name: str | None = None) -> Any:
        """Adds a query whose answer is a stream: its handler is an async generator of items."""
        return self._adding("stream", handler, name)

    def _adding(self, kind: Kind, handler: Any, name: str | None) -> Any:
        def add(handler: Handler) -> Handler:
            is_one = inspect.isasyncgenfunction if kind == "stream" else inspect.iscoroutinefunction
            if not is_one(handler):
                wanted = "an async generator" if kind == "stream" else "an async function"
                raise TypeError(f"{handler!r}: the handler of a {kind} is {wanted}")
            signature = inspect.signature(handler)
            served = Served(name or handler.__name__, kind, handler, signature)
            if served.name in self.methods:
                raise ValueError(f"{self.queue} has two methods {served.name}")
            self.methods[served.name] = served
            return handler

        return add if handler is None else add(handler)
