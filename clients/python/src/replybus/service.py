"""A service: the methods that a queue is served with."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from .errors import CallFailed
from .partition_line import PARTITIONS_MAX
from .retries import HELD_MAX, Retry

Handler = TypeVar("Handler", bound=Callable[..., Any])
Kind = Literal["query", "command", "stream"]
#: The most time that a job may be given, in seconds: a week.
_JOB_MAX = 7 * 24 * 60 * 60.0


@dataclass(frozen=True)
class Served:
    """A method, and its handler."""

    name: str
    kind: Kind
    handler: Callable[..., Any]
    signature: inspect.Signature
    #: When it is run again whose handler puts it off.
    retry: Retry | None = None
    #: Its handler keeps a record of its own.
    own_record: bool = False
    #: The argument that is a stream.
    fed: str | None = None
    #: Seconds that it may take, of a job.
    job: float | None = None

    @property
    def is_claimed(self) -> bool:
        """True of a command of which there is a record in Redis."""
        return self.kind == "command" and not self.own_record

    def bind(self, arguments: Any) -> Mapping[str, Any]:
        """The arguments that the handler takes; those that it does not know are left out.

        Raises:
            CallFailed: `bad_request`: they are no map, or one is missing.
        """
        if not isinstance(arguments, dict):
            raise CallFailed("bad_request", "the arguments are no map", False)
        found: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            if name == self.fed:
                continue
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

    With `partitions` its calls are divided among as many queues by their key, which callers know from
    the contract, and those of one key are run one after the other, in their order.
    """

    def __init__(
        self,
        queue: str,
        name: str | None = None,
        *,
        queue_type: Literal["classic", "quorum"] = "classic",
        partitions: int | None = None,
    ) -> None:
        if partitions is not None and not 1 <= partitions <= PARTITIONS_MAX:
            raise ValueError(f"{partitions} partitions; 1 to {PARTITIONS_MAX} are allowed")
        self.queue, self.name, self.queue_type = queue, name or queue, queue_type
        self.partitions = partitions
        self.methods: dict[str, Served] = {}

    @overload
    def query(self, handler: Handler, /) -> Handler: ...
    @overload
    def query(
        self, /, *, name: str | None = None, fed: str | None = None
    ) -> Callable[[Handler], Handler]: ...
    def query(
        self, handler: Any = None, /, *, name: str | None = None, fed: str | None = None
    ) -> Any:
        """Adds a method that changes nothing: it is run as often as it is delivered.

        The argument `fed` is a stream that its caller sends: an async iterator, which raises
        `CallFailed` if the stream breaks off.
        """
        return self._adding("query", handler, name, fed=fed)

    @overload
    def command(self, handler: Handler, /) -> Handler: ...
    @overload
    def command(
        self,
        /,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        own_record: bool = False,
        fed: str | None = None,
        job: float | None = None,
    ) -> Callable[[Handler], Handler]: ...
    def command(
        self,
        handler: Any = None,
        /,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        own_record: bool = False,
        fed: str | None = None,
        job: float | None = None,
    ) -> Any:
        """Adds a method that changes something: it is claimed, and run once for each key.

        With `retry` it is run again after a pause if its handler raises `RetryLater`. With
        `own_record` it is not claimed, and run as often as it is delivered: its handler writes, in
        the transaction of its work, that it was done, under `current().record_name()`. The argument
        `fed` is a stream, as of a query.

        With `job`, the seconds that it may take, up to a week, it is one that takes long: its message
        waits with the broker while it runs, another worker begins it anew when this one has died, and
        its handler says by `current().progress()` how far it is. When the time is over it is told, as
        if it had been cancelled.
        """
        if job is not None and not 0 < job <= _JOB_MAX:
            raise ValueError(f"a job of {job} s: up to {_JOB_MAX:.0f} are allowed")
        how = {"retry": retry, "own_record": own_record, "fed": fed, "job": job}
        return self._adding("command", handler, name, **how)

    def has_jobs(self) -> bool:
        """Whether one of its methods takes long."""
        return any(served.job is not None for served in self.methods.values())

    @overload
    def stream(self, handler: Handler, /) -> Handler: ...
    @overload
    def stream(self, /, *, name: str) -> Callable[[Handler], Handler]: ...
    def stream(self, handler: Any = None, /, *, name: str | None = None) -> Any:
        """Adds a query whose answer is a stream: its handler is an async generator of items."""
        return self._adding("stream", handler, name)

    def _adding(self, kind: Kind, handler: Any, name: str | None, **how: Any) -> Any:
        def add(handler: Handler) -> Handler:
            is_one = inspect.isasyncgenfunction if kind == "stream" else inspect.iscoroutinefunction
            if not is_one(handler):
                wanted = "an async generator" if kind == "stream" else "an async function"
                raise TypeError(f"{handler!r}: the handler of a {kind} is {wanted}")
            signature = inspect.signature(handler)
            served = Served(name or handler.__name__, kind, handler, signature, **how)
            retry = served.retry
            if served.fed is not None and (served.fed not in signature.parameters or retry):
                raise ValueError(
                    f"{self.queue}.{served.name}: {served.fed} is an argument that is a stream, which "
                    "can't be sent again: it is a parameter of the handler, and there is no `retry`"
                )
            if served.job is not None and (
                retry or served.own_record or served.fed or self.partitions
            ):
                raise ValueError(
                    f"{self.queue}.{served.name}: a job is looked after by its record, and begun anew "
                    "when its worker dies: it has no `retry`, `own_record`, `fed` or partitions"
                )
            if self.partitions is not None and retry is not None and retry.max_delay > HELD_MAX:
                raise ValueError(
                    f"{self.queue}.{served.name}: with partitions, what is put off holds up what "
                    f"comes after it: a `max_delay` of {HELD_MAX:.0f} s is the most"
                )
            if served.name in self.methods:
                raise ValueError(f"{self.queue} has two methods {served.name}")
            self.methods[served.name] = served
            return handler

        return add if handler is None else add(handler)
