//! One channel in confirm mode and what was written to it.

use super::{
    confirms::Confirms,
    convert::{Encoded, encode},
    failure::Failure,
    ledger::{Ledger, Resolution},
    link::Live,
    publisher::Job,
    topology,
};
use crate::transport::{Slip, Verdict};
use futures_util::future::BoxFuture;
use lapin::{
    Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use std::{
    collections::HashSet,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};
use tokio::sync::OwnedSemaphorePermit;

/// Publishes written and unconfirmed at once. Enough to keep the broker busy, few enough that
/// little of what lapin holds is stale once a blocked connection writes again.
const WINDOW: usize = 512;

/// A message on its way: who asks about it, since when.
pub(super) struct Ticket {
    slip: Slip,
    written: Instant,
    _permit: OwnedSemaphorePermit,
}

/// What to do with a message next.
pub(super) enum Admission {
    /// Write it.
    Now,
    /// Set it aside: another with this `message_id` is on its way.
    Behind(String),
    /// Set it aside until an exchange was found, or not.
    Asking,
}

pub(super) struct ConfirmChannel {
    live: Arc<Live>,
    channel: Arc<lapin::Channel>,
    confirms: Confirms,
    ledger: Ledger<Ticket>,
    order: u64,
    exchanges: HashSet<String>,
    /// Finding out whether an exchange exists, before the first publish to it: a publish to one
    /// that does not would close the channel, with every unconfirmed publish on it.
    asking: Option<(String, BoxFuture<'static, Result<bool, Failure>>)>,
}

/// Something happened on the channel.
pub(super) enum Progress {
    /// Verdicts were given.
    Resolved {
        /// The `message_id` of each.
        ids: Vec<String>,
        /// Why the channel has ended, if it has.
        ended: Option<String>,
    },
    /// An exchange was found, or not.
    Exchange { name: String, found: bool },
}

impl ConfirmChannel {
    pub(super) async fn open(live: Arc<Live>) -> Result<Box<Self>, Failure> {
        let channel = live.channel().await?;
        live.answer(channel.confirm_select(ConfirmSelectOptions::default()))
            .await?;
        Ok(Box::new(Self {
            live,
            channel: Arc::new(channel),
            confirms: Confirms::default(),
            ledger: Ledger::default(),
            order: 0,
            exchanges: HashSet::new(),
            asking: None,
        }))
    }

    pub(super) fn is_open(&self) -> bool {
        self.channel.status().connected()
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.ledger.len()
    }

    /// When the oldest unconfirmed message was written.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.ledger.oldest().map(|ticket| ticket.written)
    }

    /// When the newest message without a verdict was written.
    pub(super) fn newest(&self) -> Option<Instant> {
        self.ledger.newest().map(|ticket| ticket.written)
    }

    /// Whether a message of this id is on its way.
    pub(super) fn carries(&self, id: &str) -> bool {
        self.ledger.contains(id)
    }

    /// Whether the channel takes any message now.
    pub(super) fn has_room(&self) -> bool {
        self.ledger.len() < WINDOW && self.is_open()
    }

    /// Whether the channel takes this message now.
    pub(super) fn admit(&mut self, job: &Job) -> Admission {
        let message = &job.outgoing.message;
        // First, so that what is set aside behind another waits for nothing else.
        if !message.exchange.is_empty() && !self.exchanges.contains(&message.exchange) {
            return self.ask(&message.exchange);
        }
        // Two messages of one id could not be told apart when one is returned.
        match &message.properties.message_id {
            Some(id) if self.carries(id) => Admission::Behind(id.clone()),
            _ => Admission::Now,
        }
    }

    /// Asks for an exchange, one at a time.
    fn ask(&mut self, exchange: &str) -> Admission {
        if self.asking.is_some() {
            return Admission::Asking;
        }
        let Ok(name) = ShortString::try_new(exchange.to_owned()) else {
            return Admission::Now; // Writing it finds the same, and says so.
        };
        let live = Arc::clone(&self.live);
        let asking = async move { topology::ensure_exchange(&live, name).await };
        self.asking = Some((exchange.to_owned(), Box::pin(asking)));
        Admission::Asking
    }

    /// Takes no more messages; those it has may still be confirmed.
    pub(super) fn retire(&mut self) {
        self.asking = None;
    }

    /// Writes a message, unless it was withdrawn, is past its deadline or does not fit into AMQP.
    pub(super) fn write(&mut self, job: Job) {
        let Some(ready) = job.ready() else {
            return;
        };
        self.order += 1;
        let ticket = Ticket {
            slip: ready.slip,
            written: Instant::now(),
            _permit: ready.permit,
        };
        self.ledger
            .write(self.order, ready.id, ready.mandatory, ticket);
        let publish = publish(Arc::clone(&self.channel), ready.encoded, ready.mandatory);
        self.confirms.start(self.order, publish);
    }

    /// Waits for confirms, or for an exchange that was asked for.
    pub(super) fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        if let Poll::Ready(round) = self.confirms.poll_round(cx) {
            return Poll::Ready(self.settle(round));
        }
        if let Some((_, asking)) = &mut self.asking
            && let Poll::Ready(answer) = asking.as_mut().poll(cx)
            && let Some((name, _)) = self.asking.take()
        {
            return Poll::Ready(match answer {
                Ok(found) => {
                    if found {
                        self.exchanges.insert(name.clone());
                    }
                    Progress::Exchange { name, found }
                }
                Err(failure) => Progress::Resolved {
                    ids: Vec::new(),
                    ended: Some(failure.to_string()),
                },
            });
        }
        Poll::Pending
    }

    fn settle(&mut self, round: Vec<(u64, lapin::Result<Confirmation>)>) -> Progress {
        let mut ended = None;
        let round = round
            .into_iter()
            .map(|(order, result)| {
                let resolution = match result {
                    Ok(Confirmation::Ack(returned)) => {
                        Resolution::Ack(returned.as_ref().and_then(id_of))
                    }
                    Ok(Confirmation::Nack(returned)) => {
                        Resolution::Nack(returned.as_ref().and_then(id_of))
                    }
                    Ok(Confirmation::NotRequested) => {
                        ended = Some("the channel is not in confirm mode".to_owned());
                        Resolution::Lost
                    }
                    Err(error) => {
                        ended = Some(Failure::from(error).to_string());
                        Resolution::Lost
                    }
                };
                (order, resolution)
            })
            .collect();
        let mut ids = Vec::new();
        for (id, ticket, verdict) in self.ledger.resolve(round) {
            ticket.slip.fill(verdict);
            ids.push(id);
        }
        Progress::Resolved { ids, ended }
    }

    /// Ends the channel: what has no verdict is lost.
    pub(super) fn give_up(self: Box<Self>) {
        for ticket in self.ledger.into_tickets() {
            ticket.slip.fill(Verdict::Lost);
        }
    }
}

/// A message that can be written, and is about to be.
pub(super) struct Ready {
    pub(super) id: String,
    pub(super) encoded: Encoded,
    pub(super) mandatory: bool,
    pub(super) slip: Slip,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Job {
    /// Makes a message ready to be written; gives the verdict and `None` if it was withdrawn, is
    /// past its deadline or does not fit into AMQP.
    pub(super) fn ready(self) -> Option<Ready> {
        let Self {
            mut outgoing,
            slip,
            permit,
        } = self;
        let properties = &mut outgoing.message.properties;
        if let Some(deadline) = outgoing.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                slip.fill(Verdict::NotWritten);
                return None;
            }
            properties.expiration = Some(left);
        }
        let id = properties
            .message_id
            .get_or_insert_with(|| uuid::Uuid::now_v7().to_string())
            .clone();
        let Ok(encoded) = encode(outgoing.message) else {
            tracing::error!("a message was not sent: a name or property is too long for AMQP");
            slip.fill(Verdict::NotWritten);
            return None;
        };
        if slip.abandoned() || !slip.begin_write() {
            slip.fill(Verdict::NotWritten);
            return None;
        }
        Some(Ready {
            id,
            encoded,
            mandatory: outgoing.mandatory,
            slip,
            permit,
        })
    }
}

/// Publishes, and waits for the confirm. Only the message's first bytes are on their way when this
/// was polled once, but in their place: lapin allots the delivery tag and queues the frames in the
/// first poll, which happens in the one task that owns the channel.
pub(super) async fn publish(
    channel: Arc<lapin::Channel>,
    message: Encoded,
    mandatory: bool,
) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions {
        mandatory,
        immediate: false,
    };
    channel
        .basic_publish(
            message.exchange,
            message.routing_key,
            options,
            &message.body,
            message.properties,
        )
        .await?
        .await
}

/// The `message_id` of a returned message: each has one, see [`Job::ready`].
pub(super) fn id_of(returned: &lapin::message::BasicReturnMessage) -> Option<String> {
    let id = returned.delivery.properties.message_id().as_ref()?;
    Some(id.as_str().to_owned())
}
