//! Texts that travel in properties and headers: what is taken, reads the same when it is written.

use replybus::{
    CallId, Metadata,
    context::{Baggage, TraceContext},
};

pub(crate) fn run(data: &[u8]) {
    // Two texts, with a line's end between them.
    let Ok(texts) = std::str::from_utf8(data) else {
        return;
    };
    let (first, second) = texts.split_once('\n').unwrap_or((texts, ""));
    if let Ok(id) = first.parse::<CallId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Some(trace) = TraceContext::parse(first, Some(second)) {
        let again = TraceContext::parse(&trace.to_string(), trace.state());
        assert_eq!(again, Some(trace));
    }
    if let Some(baggage) = Baggage::parse(first) {
        assert_eq!(Baggage::parse(&baggage.to_header()), Some(baggage));
    }
    let mut baggage = Baggage::new();
    if baggage.insert(first, second).is_ok() {
        assert_eq!(baggage.get(first).as_deref(), Some(second));
        assert_eq!(Baggage::parse(&baggage.to_header()), Some(baggage));
    }
    let mut metadata = Metadata::new();
    if metadata.insert(first, second).is_ok() {
        assert_eq!(metadata.get(first), Some(second));
        assert_eq!(metadata.len(), 1);
    } else {
        assert!(metadata.is_empty());
    }
}
