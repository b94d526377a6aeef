//! W3C Trace Context (Level 1, sections 3.2 and 3.3): read, checked, and continued.

use crate::{
    call_id::CallId,
    message::{Properties, Text},
    wire::headers,
};
use std::{fmt, ops::Range};

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

    /// `true` if whoever made a message has decided whether its trace is recorded.
    pub(crate) fn is_decided(properties: &Properties) -> bool {
        [headers::TRACEPARENT, headers::UNRECORDED]
            .iter()
            .any(|name| properties.header(name).is_some())
    }

    /// The trace a message is part of: the one its headers name, or one that begins with it and is
    /// named after it.
    pub(crate) fn of(properties: &Properties, id: CallId) -> Self {
        properties
            .header(headers::TRACEPARENT)
            .and_then(|parent| Self::parse(parent, properties.header(headers::TRACESTATE)))
            .unwrap_or_else(|| {
                Self::root(id).sampled(properties.header(headers::UNRECORDED).is_none())
            })
    }

    /// The headers that name this trace.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (Text, Text)> + use<> {
        let state = self.state.clone();
        let state = state.map(|state| (Text::from_static(headers::TRACESTATE), state));
        let parent =
            std::str::from_utf8(&self.spelled()).map_or_else(|_| Text::default(), Text::from);
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
        let (known, further) = traceparent.as_bytes().split_at_checked(LENGTH)?;
        // A higher version may append parts; version ff is forbidden (section 3.2.2.1).
        match (u8::try_from(hex(known, 0..2)?).ok()?, further) {
            (0xff, _) | (0, [_, ..]) => return None,
            (_, [] | [b'-', ..]) => {}
            _ => return None,
        }
        if [2, 35, 52].iter().any(|at| known.get(*at) != Some(&b'-')) {
            return None;
        }
        let trace_id = hex(known, 3..35)?;
        let parent_id = hex(known, 36..52)?.try_into().ok()?;
        if trace_id == 0 || parent_id == 0 {
            return None;
        }
        Some(Self {
            trace_id,
            parent_id,
            flags: hex(known, 53..55)?.try_into().ok()?,
            // Longer ones may be dropped (section 3.3.1.5).
            state: tracestate
                .filter(|state| state.len() <= 512 && !state.chars().any(char::is_control))
                .map(Text::from),
        })
    }

    /// The header `traceparent`: written for each call, so without the machinery of formats.
    fn spelled(&self) -> [u8; LENGTH] {
        let mut spelled = [b'-'; LENGTH];
        let parts = [
            (0..2, 0),
            (3..35, self.trace_id),
            (36..52, self.parent_id.into()),
            (53..55, self.flags.into()),
        ];
        for (places, mut number) in parts {
            for digit in spelled.get_mut(places).into_iter().flatten().rev() {
                *digit = match u8::try_from(number & 0xf).unwrap_or_default() {
                    few @ 0..10 => b'0' + few,
                    more => b'a' + (more - 10),
                };
                number >>= 4;
            }
        }
        spelled
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

/// Bytes of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// The number that lower-case hexadecimal digits stand for.
fn hex(text: &[u8], digits: Range<usize>) -> Option<u128> {
    text.get(digits)?.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// The id of a call's span, which is never zero.
fn span_of(call: CallId) -> u64 {
    call.random_bits().max(1)
}

/// The header `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.spelled()).unwrap_or_default())
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
