//! Requests that came as one message are taken apart before anything else is done with them: what
//! works them off sees deliveries like any other, each with a message of its own.
//!
//! The message is settled when the last of them is: acknowledged if all were, and else given back.
//! One that was delivered before may hold what killed its worker. Its requests are handed out one
//! after the other, so that those behind that one are not counted among its victims.

use crate::{
    message::{Message, Properties, Text},
    transport::{Acknowledger, Deliveries, Delivery, Settled, Settler},
    wire::{
        bundle::{self, BadEntry, Entry},
        headers,
    },
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Deliveries of a queue, with all bundles among them taken apart, if they are taken: one at a time,
/// so that no more than one of those that wait is held unpacked.
#[derive(Debug)]
pub(crate) struct TakenApart {
    inner: Box<dyn Deliveries>,
    bundles: bool,
    ready: VecDeque<Delivery>,
    /// Those that waited for the one before them.
    followers: mpsc::UnboundedReceiver<Delivery>,
    follow: mpsc::UnboundedSender<Delivery>,
}

/// One request out of a bundle.
struct Part {
    message: Message,
    malformed: Option<String>,
}

/// What the requests out of one message share: its settlement.
struct Whole {
    this: Weak<Self>,
    redelivered: bool,
    received: Instant,
    state: Mutex<State>,
    follow: mpsc::UnboundedSender<Delivery>,
}

struct State {
    /// Those that were handed out and are not settled.
    unsettled: usize,
    /// Those that wait for the one before them.
    waiting: VecDeque<Part>,
    given_back: bool,
    settler: Option<Settler>,
}

impl TakenApart {
    /// Deliveries as they come.
    pub(crate) fn none_of(inner: Box<dyn Deliveries>) -> Self {
        let (follow, followers) = mpsc::unbounded_channel();
        Self {
            inner,
            bundles: false,
            ready: VecDeque::new(),
            followers,
            follow,
        }
    }

    /// Takes bundles apart from here on.
    pub(crate) fn take_bundles(&mut self) {
        self.bundles = true;
    }

    /// Waits for the next delivery; `None` once there is nothing more to come.
    ///
    /// # Cancel safety
    /// Safe: nothing that was taken is lost.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.ready.pop_front() {
                return Some(delivery);
            }
            if !self.bundles {
                return self.inner.next().await;
            }
            tokio::select! {
                biased;
                // There is a sender here: it never ends.
                Some(follower) = self.followers.recv() => return Some(follower),
                delivery = self.inner.next() => {
                    let delivery = delivery?;
                    self.take_apart(delivery);
                }
            }
        }
    }

    /// Has deliveries that were taken and not handed out come next.
    pub(crate) fn take_back(&mut self, deliveries: Vec<Delivery>) {
        self.ready.extend(deliveries);
    }

    /// Takes no more, and gives back what was not handed out.
    pub(crate) async fn stop(&mut self) {
        self.ready.clear();
        self.followers.close();
        while self.followers.try_recv().is_ok() {}
        self.inner.stop().await;
    }

    /// Makes the requests in a delivery ready: of one that is no bundle, or none that can be read,
    /// that is itself.
    fn take_apart(&mut self, delivery: Delivery) {
        let kind = delivery.message.properties.kind.as_deref();
        if kind != Some(bundle::BUNDLE) || delivery.malformed.is_some() {
            return self.ready.push_back(delivery);
        }
        match bundle::take_apart(delivery.message.body.clone()) {
            Ok(entries) => {
                let parts = entries.into_iter();
                let parts = parts.map(|entry| Part::of(&delivery.message, entry));
                let parts = parts.collect();
                self.ready
                    .extend(Whole::start(delivery, parts, self.follow.clone()));
            }
            Err(error) => self.ready.push_back(delivery.malformed(error.to_string())),
        }
    }
}

impl Part {
    fn of(bundle: &Message, entry: Result<Entry, BadEntry>) -> Self {
        let (id, malformed, parts) = match entry {
            Ok(entry) => (Some(entry.id), None, Ok(entry)),
            Err(BadEntry { id, reason, bytes }) => (
                id,
                Some(format!("an entry of a bundle: {reason}")),
                Err(bytes),
            ),
        };
        let id = id.map(Text::shown);
        let common = &bundle.properties;
        let mut properties = Properties {
            correlation_id: id,
            reply_to: common.reply_to.clone(),
            content_type: common.content_type.clone(),
            app_id: common.app_id.clone(),
            timestamp: common.timestamp,
            user_id: common.user_id.clone(),
            persistent: common.persistent,
            ..Properties::default()
        };
        let body = match parts {
            Ok(entry) => {
                properties.kind = Some(entry.method);
                let left = |most: Duration| most.saturating_sub(entry.sooner);
                properties.expiration = common.expiration.map(left);
                properties.headers.extend(deadline(common, entry.sooner));
                for (is_set, name) in [
                    (entry.repeated, headers::REPEATED),
                    (entry.unrecorded, headers::UNRECORDED),
                ] {
                    if is_set {
                        let mark = (Text::from_static(name), Text::from_static(headers::TRUE));
                        properties.headers.push(mark);
                    }
                }
                properties.headers.extend(entry.headers);
                entry.body
            }
            Err(bytes) => {
                properties.kind.clone_from(&common.kind);
                bytes
            }
        };
        Self {
            message: Message {
                exchange: bundle.exchange.clone(),
                routing_key: bundle.routing_key.clone(),
                properties,
                body,
            },
            malformed,
        }
    }
}

/// The deadline of a request, which is so much sooner than that of its bundle.
fn deadline(bundle: &Properties, sooner: Duration) -> Option<(Text, Text)> {
    let latest = bundle.header(headers::DEADLINE)?;
    let own = latest.parse::<u64>().map(|latest| {
        let sooner = u64::try_from(sooner.as_millis()).unwrap_or(u64::MAX);
        Text::shown(latest.saturating_sub(sooner))
    });
    // One that can't be read is as wrong for each of them.
    let own = own.unwrap_or_else(|_| latest.into());
    Some((Text::from_static(headers::DEADLINE), own))
}

impl Whole {
    /// The deliveries of a bundle that are ready at once: all, or the first if the others are to
    /// wait for it.
    fn start(
        bundle: Delivery,
        mut parts: VecDeque<Part>,
        follow: mpsc::UnboundedSender<Delivery>,
    ) -> Vec<Delivery> {
        let first = match bundle.redelivered {
            true => parts.pop_front().into_iter().collect(),
            false => std::mem::take(&mut parts),
        };
        let whole = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            redelivered: bundle.redelivered,
            received: bundle.received,
            state: Mutex::new(State {
                unsettled: first.len(),
                waiting: parts,
                given_back: false,
                settler: Some(bundle.settler),
            }),
            follow,
        });
        let deliver = |part| Self::deliver(&whole, part);
        first.into_iter().map(deliver).collect()
    }

    fn deliver(whole: &Arc<Self>, part: Part) -> Delivery {
        let acknowledger: Arc<dyn Acknowledger> = Arc::<Self>::clone(whole);
        // Nothing here tells them apart.
        let settler = Settler::new(0, acknowledger);
        let delivery = Delivery::new(part.message, settler)
            .redelivered(whole.redelivered)
            .bundled(true)
            .received(whole.received);
        match part.malformed {
            Some(reason) => delivery.malformed(reason),
            None => delivery,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Acknowledger for Whole {
    fn settle(&self, _: u64, settled: Settled) {
        let mut state = self.state();
        state.unsettled = state.unsettled.saturating_sub(1);
        if settled != Settled::Ack {
            state.given_back = true;
            state.waiting.clear();
        }
        let next = state.waiting.pop_front().zip(self.this.upgrade());
        if let Some((part, whole)) = next {
            state.unsettled += 1;
            drop(state);
            // Nobody is there to take it: dropped, it is given back.
            let _ = self.follow.send(Self::deliver(&whole, part));
            return;
        }
        let settled = match state.given_back {
            true => Settled::Requeue,
            false => Settled::Ack,
        };
        let settler = match state.unsettled {
            0 => state.settler.take(),
            _ => None,
        };
        drop(state);
        if let Some(settler) = settler {
            settler.settle(settled);
        }
    }
}
