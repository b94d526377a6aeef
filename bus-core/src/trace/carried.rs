//! What a message carries of the context it was made in, beside metadata: its place in a trace, and
//! baggage.

use super::tracer;
use crate::{
    call_id::CallId,
    context::{Baggage, Context, TraceContext},
    message::Text,
};
use std::sync::Arc;

/// Trace and baggage of a message. A message without either has none of it.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    /// The trace, if that is not one that begins with the message and is named after it.
    pub(super) trace: Option<TraceContext>,
    /// The span that the message was made in.
    pub(super) parent: Option<u64>,
    baggage: Option<Arc<Baggage>>,
}

impl Carried {
    /// Headers that it takes, at most.
    const HEADERS_MAX: usize = TraceContext::HEADERS_MAX + 1;

    /// What a message `id` carries that is made in a context.
    pub(crate) fn from(context: &Context, id: CallId) -> Option<Box<Self>> {
        let parent = context.trace();
        let trace = match (parent, tracer()) {
            (None, None) => None,
            (Some(parent), None) => Some(parent.child(id)),
            // Whether it is recorded is said, too.
            (parent, Some(tracer)) => {
                let trace =
                    parent.map_or_else(|| TraceContext::root(id), |parent| parent.child(id));
                let is_sampled = tracer.samples(trace.trace_id(), parent);
                Some(trace.sampled(is_sampled))
            }
        };
        let baggage = context.shared_baggage();
        if trace.is_none() && baggage.is_none() {
            return None;
        }
        Some(Box::new(Self {
            trace,
            parent: parent.map(TraceContext::span_id),
            baggage: baggage.cloned(),
        }))
    }

    /// The trace that it belongs to, if that is not its own.
    pub(crate) fn trace_id(&self) -> Option<u128> {
        self.trace.as_ref().map(TraceContext::trace_id)
    }

    /// The headers that say so.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (Text, Text)> {
        let trace = self.trace.iter().flat_map(TraceContext::headers);
        trace.chain(self.baggage.iter().map(|baggage| baggage.header()))
    }

    /// The number of headers that it takes, at most.
    pub(crate) fn most_headers(carried: Option<&Self>) -> usize {
        carried.map_or(0, |_| Self::HEADERS_MAX)
    }
}
