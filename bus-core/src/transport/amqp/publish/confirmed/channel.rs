//! One channel in confirm mode: which messages it takes, what was written to it, and what came of
//! that.

use super::{
    confirms::Confirms,
    verdicts::{Resolution, Undecided},
};
use crate::{
    message::Text,
    transport::{
        Slip, Verdict,
        amqp::{
            connect::{Failure, Live},
            publish::{
                complaint::{Complaint, Target},
                job::{Job, id_of, id_of_returned, write},
                suspects::{Accused, Suspects},
            },
            topology,
        },
    },
};
use futures_util::future::BoxFuture;
use lapin::{Confirmation, options::ConfirmSelectOptions, types::ShortString};
use std::{
    collections::HashSet,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

/// A message that was written and has no verdict: who asks about it, since when.
struct Written {
    slip: Slip,
    target: Target,
    at: Instant,
    _permit: OwnedSemaphorePermit,
}

/// The next step of a message that waits.
pub(super) enum Admission {
    /// Write it.
    Now,
    /// Set it aside: another with this `message_id` is on its way.
    Behind(Text),
    /// Set it aside until an exchange was found, or not.
    Asking,
}

pub(super) struct ConfirmedChannel {
    /// Messages that may be on their way at once.
    window: usize,
    suspects: Suspects,
    /// The exchanges to which the broker has taken messages.
    allowed: HashSet<Text>,
    live: Arc<Live>,
    channel: Arc<lapin::Channel>,
    confirms: Confirms,
    undecided: Undecided<Written>,
    order: u64,
    exchanges: HashSet<String>,
    /// Finding out whether an exchange exists, before the first publish to it: a publish to one
    /// that does not would close the channel, with every unconfirmed publish on it.
    asking: Option<(String, BoxFuture<'static, Result<bool, Failure>>)>,
}

/// Something happened on the channel.
pub(crate) enum Progress {
    /// Verdicts were given.
    Resolved {
        /// The `message_id` of each.
        ids: Vec<Text>,
        /// The reason for the channel's end, if it has ended.
        ended: Option<String>,
    },
    /// An exchange was found, or not.
    Exchange { name: String, found: bool },
}

impl ConfirmedChannel {
    pub(super) async fn open(
        live: Arc<Live>,
        suspects: Suspects,
        window: usize,
    ) -> Result<Box<Self>, Failure> {
        let channel = live.channel().await?;
        live.answer(channel.confirm_select(ConfirmSelectOptions::default()))
            .await?;
        Ok(Box::new(Self {
            window,
            suspects,
            allowed: HashSet::new(),
            live,
            channel: Arc::new(channel),
            confirms: Confirms::default(),
            undecided: Undecided::default(),
            order: 0,
            exchanges: HashSet::new(),
            asking: None,
        }))
    }

    pub(super) fn is_open(&self) -> bool {
        self.channel.status().connected()
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.undecided.len()
    }

    /// When the oldest unconfirmed message was written.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.undecided.oldest().map(|written| written.at)
    }

    /// When the newest message without a verdict was written.
    pub(super) fn newest(&self) -> Option<Instant> {
        self.undecided.newest().map(|written| written.at)
    }

    /// `true` if a message of this id is on its way.
    pub(super) fn carries(&self, id: &str) -> bool {
        self.undecided.contains(id)
    }

    /// `true` if the channel takes any message now.
    pub(super) fn has_slot(&self) -> bool {
        self.undecided.len() < self.window && self.is_open()
    }

    /// The next step of this message.
    pub(super) fn admit(&mut self, job: &Job) -> Admission {
        let message = &job.outgoing.message;
        // First, so that what is set aside behind another waits for nothing else.
        if !message.exchange.is_empty() && !self.exchanges.contains(&*message.exchange) {
            return self.ask(&message.exchange);
        }
        // Two messages of one id could not be told apart when one is returned.
        match id_of(&message.properties) {
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
        let Some(prepared) = job.prepare() else {
            return;
        };
        self.order += 1;
        let written = Written {
            slip: prepared.slip,
            target: prepared.target,
            at: Instant::now(),
            _permit: prepared.permit,
        };
        let mandatory = prepared.mandatory;
        self.undecided
            .write(self.order, prepared.id, mandatory, written);
        let write = write(Arc::clone(&self.channel), prepared.encoded, mandatory);
        self.confirms.start(self.order, write);
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
                        Resolution::Ack(returned.as_ref().and_then(id_of_returned))
                    }
                    Ok(Confirmation::Nack(returned)) => {
                        Resolution::Nack(returned.as_ref().and_then(id_of_returned))
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
        let complaint = ended.as_ref().and_then(|_| self.complaint());
        let alone = self.undecided.len() == 1;
        let mut ids = Vec::new();
        for (id, written, verdict) in self.undecided.resolve(round) {
            let verdict = match (verdict, &complaint) {
                (Verdict::Lost, Some(complaint)) => self.judge(complaint, &id, &written, alone),
                (verdict, _) => verdict,
            };
            if verdict == Verdict::Confirmed {
                self.allow(&id, &written.target);
            }
            written.slip.fill(verdict);
            ids.push(id);
        }
        Progress::Resolved { ids, ended }
    }

    /// The complaint with which the broker closed the channel; publishes like the one that it is
    /// about are tried apart from then on.
    fn complaint(&self) -> Option<Complaint> {
        let complaint = Complaint::of(self.live.close_of(&self.channel)?)?;
        self.suspects.remember(complaint.clone());
        Some(complaint)
    }

    fn judge(&self, complaint: &Complaint, id: &str, written: &Written, alone: bool) -> Verdict {
        let accused = Accused {
            id,
            target: &written.target,
            alone,
            allowed: self.allowed.contains(&written.target.exchange),
        };
        self.suspects.judge(complaint, &accused)
    }

    /// Notes that the broker took a message.
    fn allow(&mut self, id: &str, target: &Target) {
        self.suspects.clear(id, target);
        if !self.allowed.contains(&target.exchange) {
            self.allowed.insert(target.exchange.clone());
        }
    }

    /// Ends the channel: what has no verdict is lost.
    pub(super) fn give_up(self: Box<Self>) {
        let complaint = match self.undecided.len() {
            0 => None,
            _ => self.complaint(),
        };
        let alone = self.undecided.len() == 1;
        let mut this = *self;
        for (id, written) in std::mem::take(&mut this.undecided).into_written() {
            let verdict = match &complaint {
                Some(complaint) => this.judge(complaint, &id, &written, alone),
                None => Verdict::Lost,
            };
            written.slip.fill(verdict);
        }
    }
}
