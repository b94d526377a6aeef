//! What is done to events before they are emitted: those of a type that somebody wants to look at,
//! and those whose row does not say what they are.

use super::stored::Stored;
use replybus::{Bus, Event, event::Emit};
use std::{collections::HashMap, fmt, sync::Arc};

/// A reason of the program's own.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// From the text of an event to what is emitted.
type Prepare = dyn Fn(&Bus, &str) -> Result<Emit, CanNotPrepare> + Send + Sync;

/// An event can't be made of what is stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum CanNotPrepare {
    #[error("the stored event can't be read")]
    Unreadable(#[from] serde_json::Error),
    #[error("the stored event has no name, and none is given to such")]
    Unnamed,
    #[error("the event can't be prepared")]
    Refused(#[source] BoxError),
}

/// By exchange and name.
#[derive(Clone, Default)]
pub(super) struct Preparations {
    of: HashMap<(&'static str, &'static str), Arc<Prepare>>,
    unnamed: Option<(&'static str, &'static str)>,
}

impl Preparations {
    pub(super) fn prepare<E: Event>(
        &mut self,
        prepare: impl Fn(E) -> Result<E, BoxError> + Send + Sync + 'static,
    ) {
        let prepare = move |bus: &Bus, text: &str| {
            let event = serde_json::from_str(text)?;
            let event = prepare(event).map_err(CanNotPrepare::Refused)?;
            Ok(bus.emit(&event))
        };
        let named = (E::EXCHANGE, E::ROUTING_KEY);
        self.of.insert(named, Arc::new(prepare));
    }

    pub(super) fn unnamed<E: Event>(&mut self) {
        let named = (E::EXCHANGE, E::ROUTING_KEY);
        self.unnamed = Some(named);
        if !self.of.contains_key(&named) {
            self.prepare::<E>(Ok);
        }
    }

    pub(super) fn emit(&self, bus: &Bus, stored: &Stored) -> Result<Emit, CanNotPrepare> {
        let named = stored.named.as_ref();
        let named = named.map(|(exchange, name)| (exchange.as_str(), name.as_str()));
        let (exchange, name) = named.or(self.unnamed).ok_or(CanNotPrepare::Unnamed)?;
        let prepare = self.of.iter().find(|(of, _)| **of == (exchange, name));
        match prepare {
            Some((_, prepare)) => prepare(bus, &stored.event),
            // Its type is not known here, and without it JSON is not made into anything else.
            None => Ok(bus.emit_json(exchange, name, &stored.event)),
        }
    }
}

impl fmt::Debug for Preparations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preparations")
            .field("of", &self.of.keys())
            .field("unnamed", &self.unnamed)
            .finish()
    }
}
