"""What a request came to, and what is to be done with it: reply, dead letter, or neither."""

from __future__ import annotations

from dataclasses import dataclass, replace

from . import replies
from .claims import Claim
from .codec import ContentType
from .envelope import Envelope
from .errors import CallFailed, HandlerError


class GivenBack(Exception):
    """A delivery that was not taken to its end: the broker delivers it again."""


@dataclass(frozen=True)
class Outcome:
    """The end of one request."""

    frame: bytes
    #: What it is, if it is no value.
    error: HandlerError | CallFailed | None = None
    #: The claim to record it under.
    claim: Claim | None = None
    #: Another delivery answers for it.
    elsewhere: bool = False
    #: Nothing says whether an earlier delivery was run.
    unknown: bool = False
    #: It was run in an earlier delivery, and put off.
    has_run: bool = False
    #: Its handler would have it run again, and no run is left.
    is_exhausted: bool = False
    #: It is none: another worker is to begin it anew.
    is_left: bool = False
    #: How often it was begun, if that is known.
    attempts: int | None = None

    @classmethod
    def of_fault(
        cls,
        content_type: ContentType,
        failed: CallFailed,
        *,
        claim: Claim | None = None,
        attempts: int | None = None,
        elsewhere: bool = False,
        unknown: bool = False,
    ) -> Outcome:
        """One that is no answer of the handler's."""
        frame = replies.fault(content_type, failed)
        return cls(frame, failed, claim, elsewhere=elsewhere, unknown=unknown, attempts=attempts)

    @classmethod
    def recorded(cls, frame: bytes, call_id: str) -> Outcome:
        """One that was recorded by an earlier run."""
        try:
            replies.read(frame, call_id)
        except (HandlerError, CallFailed) as error:
            return cls(frame, error)
        return cls(frame)

    def seen(self, envelope: Envelope) -> Outcome:
        """The same, if an earlier delivery may have been run: a fault says so then."""
        failed = self.error
        may_have_run = self.has_run or (self.unknown and envelope.seen_before)
        if not (may_have_run and isinstance(failed, CallFailed)):
            return self
        failed = CallFailed(failed.code, failed.message, True, retry_after=failed.retry_after)
        return replace(self, error=failed, frame=replies.fault(envelope.content_type, failed))

    def is_dead_letter(self, envelope: Envelope) -> bool:
        """Whether its message is kept for somebody to look at."""
        if self.is_exhausted or envelope.message.malformed():
            return True
        failed = self.error
        if failed is None:
            return False
        code = failed.code if isinstance(failed, CallFailed) else "handler"
        executed = isinstance(failed, CallFailed) and failed.may_have_executed
        interrupted = executed and code in ("interrupted", "worker_lost")
        command = envelope.message.delivery_mode == 2 or interrupted
        unseen = command and (not envelope.is_awaited or envelope.is_redriven)
        if code == "expired" and not executed:
            return envelope.is_redriven
        if code == "cancelled":
            return envelope.is_redriven and command
        if executed:
            repetition = self.elsewhere and not envelope.seen_before
            return unseen or (command and not repetition)
        return unseen
