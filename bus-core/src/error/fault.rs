//! The report of a server, on the wire, when the handler did not answer.

use crate::contract::Fingerprint;
use std::fmt;

/// A failure as it travels in a reply: a code for programs, a sentence for people.
///
/// ```
/// use replybus::error::{Fault, FaultCode};
///
/// let fault = Fault::new(FaultCode::Denied, "withdraw needs the role teller");
/// assert_eq!(fault.code.as_str(), "denied");
/// assert!(!fault.may_have_executed);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The kind of failure.
    pub code: FaultCode,
    /// A sentence that names the thing which failed; holds no argument values.
    pub message: String,
    /// True if the handler can have run, wholly or in part: by what the code says of this delivery,
    /// and by what is known of earlier ones.
    pub may_have_executed: bool,
    /// Of a refusal for load: after what time it is worth trying again.
    pub retry_after: Option<std::time::Duration>,
    /// Of arguments that can't be read: the fingerprint of the method, by which a caller finds out
    /// that its contract is another.
    pub contract: Option<Fingerprint>,
}

impl Fault {
    /// A fault; its code decides whether the handler can have run.
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            may_have_executed: code.may_have_executed(),
            retry_after: None,
            contract: None,
        }
    }

    /// Says which contract of the method it is that the arguments are not of.
    #[must_use]
    pub fn contract(mut self, fingerprint: Fingerprint) -> Self {
        self.contract = Some(fingerprint);
        self
    }

    /// Says after what time it is worth trying again. It travels in whole milliseconds.
    #[must_use]
    pub fn retry_after(mut self, retry_after: std::time::Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// `true` of a command that was cancelled, and neither was nor will be started.
    pub(crate) fn says_never_started(&self) -> bool {
        self.code == FaultCode::Cancelled && !self.may_have_executed
    }

    /// Says that, whatever the code says, the handler can have run.
    pub(crate) fn may_have_been_executed(mut self) -> Self {
        self.may_have_executed = true;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

macro_rules! fault_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, may_have_executed: $ran:literal;)*) => {
        /// The kinds of failure a server reports. [`FailureKind`](super::FailureKind) is what they
        /// mean to the caller.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FaultCode {
            $($(#[$doc])* $variant,)*
            /// A code this version does not know.
            Unknown,
        }

        impl FaultCode {
            /// Every code that can be sent.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Unknown => "unknown",
                }
            }

            /// The code a wire text stands for; [`Unknown`](Self::Unknown) if there is none.
            ///
            /// ```
            /// use replybus::error::FaultCode;
            ///
            /// assert_eq!(FaultCode::from_wire("expired"), FaultCode::Expired);
            /// assert_eq!(FaultCode::from_wire("from the future"), FaultCode::Unknown);
            /// ```
            #[must_use]
            pub fn from_wire(code: &str) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }

            /// True if the handler can have run, wholly or in part, in the delivery that ends so.
            #[must_use]
            pub const fn may_have_executed(self) -> bool {
                match self {
                    $(Self::$variant => $ran,)*
                    Self::Unknown => true,
                }
            }
        }
    };
}

fault_codes! {
    /// The service has no such method.
    UnknownMethod = "unknown_method", may_have_executed: false;
    /// The request can't be read: properties, encoding, arguments.
    BadRequest = "bad_request", may_have_executed: false;
    /// The deadline had passed when the request was taken.
    Expired = "expired", may_have_executed: false;
    /// The service sheds load.
    Overloaded = "overloaded", may_have_executed: false;
    /// The service does not do this for this caller.
    Denied = "denied", may_have_executed: false;
    /// The idempotency key was used for another request.
    KeyConflict = "key_conflict", may_have_executed: false;
    /// The handler did not finish in the time given.
    TimedOut = "timed_out", may_have_executed: true;
    /// The handler panicked.
    Panicked = "panicked", may_have_executed: true;
    /// The handler answered, but the answer can't be sent: too large, or not encodable.
    BadReply = "bad_reply", may_have_executed: true;
    /// It was started before and never ended. It is not started again: that was as often as is
    /// allowed, or it was cancelled then.
    Interrupted = "interrupted", may_have_executed: true;
    /// The command was started, its worker was lost, and no time is left for another.
    WorkerLost = "worker_lost", may_have_executed: true;
    /// It was cancelled, as a rule because nobody waited for it any more.
    Cancelled = "cancelled", may_have_executed: false;
    /// A layer of the server failed; of an event, its handler did, as often as it was run.
    Failed = "failed", may_have_executed: true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for code in FaultCode::ALL {
            assert_eq!(FaultCode::from_wire(code.as_str()), *code);
        }
        assert_eq!(FaultCode::from_wire("from the future"), FaultCode::Unknown);
    }
}
