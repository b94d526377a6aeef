"""What a call can end with instead of a value."""

from __future__ import annotations

from typing import Any

#: The codes after which the handler can't have run, if the reply does not say.
_NOT_RUN = frozenset(
    {
        "unknown_method",
        "bad_request",
        "expired",
        "overloaded",
        "denied",
        "key_conflict",
        "cancelled",
    }
)


class CallError(Exception):
    """What every failed call raises: a `HandlerError` or a `CallFailed`."""


class HandlerError(CallError):
    """The handler's own error: raised by callers, and by handlers to answer with one."""

    def __init__(self, error: Any) -> None:
        super().__init__(f"the handler returned an error: {error!r}")
        #: What the contract says the error is, as it travelled.
        self.error = error


class RetryLater(HandlerError):
    """Raised by the handler of a command for an error that passes: it is run again after a pause, as
    its `Retry` says. Nothing was done, or nothing that a further run does twice.

    When no run is left, or the next would be after the caller's deadline, the error is answered. It
    is not recorded: the same key is run again. That is all that it does without a `Retry`.
    """

    def __init__(self, error: Any, *, after: float | None = None) -> None:
        super().__init__(error)
        if after is not None and not after >= 0:
            raise ValueError(f"a pause of {after} s")
        #: Seconds of the pause, up to a day, instead of that of the `Retry`.
        self.after = after


class CallFailed(CallError):
    """A call without an answer of the handler's."""

    def __init__(
        self,
        code: str,
        message: str,
        may_have_executed: bool | None = None,
        *,
        retry_after: float | None = None,
        call_id: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        #: A code of the protocol, or `unroutable`, `disconnected` or `timed_out` of this side.
        self.code = code
        self.message = message
        #: `False` if the work was surely not done, so that the call may be made again.
        self.may_have_executed = (
            code not in _NOT_RUN if may_have_executed is None else may_have_executed
        )
        #: After how many seconds it is worth trying again, if the service said.
        self.retry_after = retry_after
        self.call_id = call_id
