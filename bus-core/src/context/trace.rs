//! W3C Trace Context (Level 1, sections 3.2 and 3.3): read, checked, and continued.

use crate::{
    call_id::CallId,
    message::{Properties, Text},
    wire::headers,
};
use std::fmt;

/// The place of a call in a trace: the headers `traceparent` and `tracestate`.
///
/// Calls that a handler makes continue its trace by themselves. To continue one that came in by
/// another way, such as HTTP, make the calls in its context:
///
/// ```
/// use replybus::{Context, context::TraceContext};
///
/// # async fn make_calls() {
/// #     assert_eq!(Context::current().trace().unwrap().state(), Some("vendor=x"));
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace = TraceContext::parse(traceparent, Some("vendor=x")).unwrap();
/// Context::builder().trace(trace).build().scope(make_calls()).await;
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
    state: Option<Text>,
}

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

impl TraceContext {
    /// The start of a new trace, marked as sampled. Its id is the call's, so that logs and traces
    /// find each other.
    #[must_use]
    pub fn root(call: CallId) -> Self {
        Self {
            // A zero is no id (section 3.2.2.3); a caller in another language can send one.
            trace_id: u128::from_be_bytes(*call.as_bytes()).max(1),
            parent_id: span_of(call),
            flags: SAMPLED,
            state: None,
        }
    }

    /// The next step of this trace: same trace, a span of its own, named after the call.
    #[must_use]
    pub fn child(&self, call: CallId) -> Self {
        Self {
            parent_id: span_of(call),
            ..self.clone()
        }
    }

    /// The same place, marked as sampled or not.
    pub(crate) fn sampled(self, is_sampled: bool) -> Self {
        let others = self.flags & !SAMPLED;
        let flags = others | if is_sampled { SAMPLED } else { 0 };
        Self { flags, ..self }
    }

    /// The trace a message is part of: the one its headers name, or one that begins with it and is
    /// named after it.
    pub(crate) fn of(properties: &Properties, id: CallId) -> Self {
        properties
            .header(headers::TRACEPARENT)
            .and_then(|parent| Self::parse(parent, properties.header(headers::TRACESTATE)))
            .unwrap_or_else(|| Self::root(id))
    }

    /// Headers that name a trace, at most.
    pub(crate) const HEADERS_MAX: usize = 2;

    /// The headers that name this trace.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (Text, Text)> + use<> {
        let state = self.state.clone();
        let state = state.map(|state| (Text::from_static(headers::TRACESTATE), state));
        let parent = Text::shown(self);
        std::iter::once((Text::from_static(headers::TRACEPARENT), parent)).chain(state)
    }

    /// The trace that two headers name; `None` if the first is not valid. A `tracestate` without a
    /// valid `traceparent` is dropped, as the specification asks (section 3.3.1).
    ///
    /// ```
    /// use replybus::context::TraceContext;
    ///
    /// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let trace = TraceContext::parse(header, None).unwrap();
    /// assert_eq!(trace.to_string(), header);
    /// assert_eq!(TraceContext::parse("not a trace", None), None);
    /// ```
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, parent, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // A higher version may append parts; version ff is forbidden (section 3.2.2.1).
        if (version == "00" && parts.next().is_some()) || version == "ff" {
            return None;
        }
        let lengths = [version.len(), trace.len(), parent.len(), flags.len()];
        let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if lengths != [2, 32, 16, 2] || ![version, trace, parent, flags].iter().all(|p| hex(p)) {
            return None;
        }
        let trace_id = u128::from_str_radix(trace, 16).ok()?;
        let parent_id = u64::from_str_radix(parent, 16).ok()?;
        if trace_id == 0 || parent_id == 0 {
            return None;
        }
        Some(Self {
            trace_id,
            parent_id,
            flags: u8::from_str_radix(flags, 16).ok()?,
            // Longer ones may be dropped (section 3.3.1.5).
            state: tracestate
                .filter(|state| state.len() <= 512 && !state.chars().any(char::is_control))
                .map(Text::from),
        })
    }

    /// The trace's id, the same in every service it passes.
    #[must_use]
    pub const fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The id of the span at this place: what the header names as the parent.
    #[must_use]
    pub const fn span_id(&self) -> u64 {
        self.parent_id
    }

    /// `true` if the trace is recorded, as far as its sender knows (section 3.2.2.5.1).
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The header `tracestate`, handed on as it came.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// The id of a call's span, which is never zero.
fn span_of(call: CallId) -> u64 {
    call.random_bits().max(1)
}

/// The header `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.parent_id, self.flags
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_and_continues_a_trace() {
        let trace = TraceContext::parse(VALID, Some("vendor=x")).unwrap();
        assert_eq!(trace.to_string(), VALID);
        let child = trace.child(CallId::new());
        assert_eq!(child.trace_id(), trace.trace_id());
        assert_ne!(child.to_string(), VALID);
        assert_eq!(child.state(), Some("vendor=x"));
        assert_eq!(
            TraceContext::parse(&child.to_string(), Some("vendor=x")),
            Some(child)
        );
    }

    #[test]
    fn a_new_trace_is_named_after_its_first_call() {
        let call = CallId::new();
        let root = TraceContext::root(call);
        assert_eq!(TraceContext::parse(&root.to_string(), None), Some(root));
    }

    #[test]
    fn a_call_named_by_zeros_still_begins_a_trace() {
        let root = TraceContext::root(CallId::from_bytes([0; 16]));
        assert_eq!(TraceContext::parse(&root.to_string(), None), Some(root));
    }

    #[test]
    fn refuses_what_the_specification_refuses() {
        for header in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-011",
        ] {
            assert_eq!(TraceContext::parse(header, None), None, "{header}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-follows";
        assert!(TraceContext::parse(later, None).is_some());
    }
}
