//! What the caller of one call hears of those who would read its stream. One of them does; the
//! others are runs of further copies, or of a message that was delivered again.

use crate::{
    call_id::CallId, message::Text, reply::ReplyStore, signature::FrameSignatures,
    stream::heard::Heard, wire::feed::FeedCredit,
};
use bytes::Bytes;
use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// The others that are told to wait, and of the end; there are as many as a call has further copies.
const OTHERS_MAX: usize = 8;

/// The line of one call, which begins before the call is made.
#[derive(Debug)]
pub(crate) struct FeedLine {
    store: Arc<dyn ReplyStore>,
    /// The call.
    id: CallId,
    signatures: FrameSignatures,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    reader: Option<Reader>,
    others: Vec<Reader>,
    /// What was said by others, and not looked at.
    said: Said,
}

/// What those said who would read it as well.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// They are to be told to wait.
    pub(super) waiting: Vec<Reader>,
    /// A later run has the claim, which the reader's has lost.
    pub(super) is_succeeded: bool,
}

/// One who reads the stream, or would.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    /// The id that it gave the stream.
    pub(super) id: CallId,
    pub(super) number: u32,
    pub(super) inbox: Text,
    pub(super) heard: Arc<Heard>,
    /// What is signed of its frames: nothing of one that does not ask for it.
    pub(super) signatures: FrameSignatures,
}

impl FeedLine {
    pub(super) fn new(store: Arc<dyn ReplyStore>, id: CallId, signatures: FrameSignatures) -> Self {
        Self {
            store,
            id,
            signatures,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Takes in a credit. Who gives the first is the reader.
    pub(crate) fn arrived(&self, frame: &Bytes) {
        let Some(frame) = self.signatures.believed(self.id, frame).ok() else {
            return;
        };
        let Some(said) = FeedCredit::read(&frame) else {
            return;
        };
        let FeedCredit {
            credit,
            holds_claim,
            checks,
            inbox,
        } = said;
        let mut state = self.state();
        if let Some(reader) = &state.reader
            && reader.is(credit.id, credit.producer)
        {
            let heard = Arc::clone(&reader.heard);
            drop(state);
            heard.hear(credit);
            return;
        }
        if credit.gone {
            state.others.retain(|other| other.id != credit.id);
            return;
        }
        // What anybody names is written to.
        if !self.store.is_inbox(&inbox) {
            return;
        }
        let reader = Reader {
            id: credit.id,
            number: credit.producer,
            inbox,
            heard: Arc::new(Heard::new()),
            signatures: match checks {
                true => self.signatures.clone(),
                false => FrameSignatures::default(),
            },
        };
        if state.reader.is_none() {
            state.reader = Some(reader);
        } else {
            state.said.is_succeeded |= holds_claim;
            if !Reader::put(&mut state.others, &reader) {
                return;
            }
            Reader::put(&mut state.said.waiting, &reader);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the reader.
    pub(super) async fn reader(&self) -> Reader {
        loop {
            if let Some(reader) = self.state().reader.clone() {
                return reader;
            }
            self.changed.notified().await;
        }
    }

    /// Waits until another says something.
    pub(super) async fn said(&self) -> Said {
        loop {
            let said = mem::take(&mut self.state().said);
            if said.is_succeeded || !said.waiting.is_empty() {
                return said;
            }
            self.changed.notified().await;
        }
    }

    /// `true` once there is a reader: a handler may have been called.
    pub(crate) fn has_begun(&self) -> bool {
        self.state().reader.is_some()
    }

    /// Those who would read it as well, as far as they are known.
    pub(super) fn others(&self) -> Vec<Reader> {
        mem::take(&mut self.state().others)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Puts one among others, if it is not there; `false` if there is no room for it.
    fn put(others: &mut Vec<Self>, one: &Self) -> bool {
        if others.iter().any(|other| other.id == one.id) {
            return true;
        }
        let has_room = others.len() < OTHERS_MAX;
        if has_room {
            others.push(one.clone());
        }
        has_room
    }

    fn is(&self, id: CallId, number: u32) -> bool {
        self.id == id && self.number == number
    }
}
