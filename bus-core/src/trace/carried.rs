//! What a message carries of the context it was made in, beside metadata: its place in a trace, and
//! baggage.

use super::tracer;
use crate::{
    call_id::CallId,
    context::{Baggage, Context, TraceContext},
    message::Text,
};
use std::sync::Arc;

/// Trace and baggage of a message.
#[derive(Debug, Clone)]
pub(crate) enum Carried {
    /// No more than its id says: its trace begins with it, and is named after it.
    Nothing,
    /// The same, of a trace that is not recorded: most of a busy program's are, so it costs little.
    Unrecorded,
    /// What its headers say.
    Named(Box<Named>),
}

#[derive(Debug, Clone)]
pub(crate) struct Named {
    /// The trace, if that is not one that begins with the message and is named after it.
    trace: Option<TraceContext>,
    /// The span that the message was made in.
    parent: Option<u64>,
    baggage: Option<Arc<Baggage>>,
}

impl Carried {
    /// What a message `id` carries that is made in a context.
    pub(crate) fn from(context: &Context, id: CallId) -> Self {
        let parent = context.trace();
        let baggage = context.shared_baggage();
        let trace = match (parent, tracer()) {
            (None, None) => None,
            (Some(parent), None) => Some(parent.child(id)),
            // Whether it is recorded is said, too.
            (parent, Some(tracer)) => {
                let trace =
                    parent.map_or_else(|| TraceContext::root(id), |parent| parent.child(id));
                let is_sampled = tracer.samples(trace.trace_id(), parent);
                if !is_sampled && parent.is_none() && baggage.is_none() {
                    return Self::Unrecorded;
                }
                Some(trace.sampled(is_sampled))
            }
        };
        if trace.is_none() && baggage.is_none() {
            return Self::Nothing;
        }
        Self::Named(Box::new(Named {
            trace,
            parent: parent.map(TraceContext::span_id),
            baggage: baggage.cloned(),
        }))
    }

    fn named(&self) -> Option<&Named> {
        match self {
            Self::Nothing | Self::Unrecorded => None,
            Self::Named(named) => Some(named),
        }
    }

    /// `true` if its trace begins with it and is not recorded.
    pub(crate) const fn is_unrecorded(&self) -> bool {
        matches!(self, Self::Unrecorded)
    }

    /// Its trace, if it has one that may be recorded, and the span that the message was made in.
    pub(super) fn place(&self) -> Option<(&TraceContext, Option<u64>)> {
        let named = self.named()?;
        Some((named.trace.as_ref()?, named.parent))
    }

    /// The trace that it belongs to, if that is not its own.
    pub(crate) fn trace_id(&self) -> Option<u128> {
        self.place().map(|(trace, _)| trace.trace_id())
    }

    /// The header of a trace that begins with the message `id` and is not recorded, if it is one. An
    /// entry of a bundle has a flag for it.
    pub(crate) fn unrecorded_header(&self, id: CallId) -> Option<(Text, Text)> {
        let trace = TraceContext::root(id).sampled(false);
        self.is_unrecorded()
            .then(|| trace.headers())
            .and_then(|mut headers| headers.next())
    }

    /// The headers that say the rest.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (Text, Text)> {
        let named = self.named().into_iter();
        named.flat_map(|named| {
            let trace = named.trace.iter().flat_map(TraceContext::headers);
            trace.chain(named.baggage.iter().map(|baggage| baggage.header()))
        })
    }
}
