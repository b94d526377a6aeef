//! The service's end of what is asked over the control line.

use super::{
    contract::ServedContract,
    served::ServedCalls,
    verb::{DrainOutcome, DrainRequest, InstanceDrain, InstanceJobs, InstanceStats, Pinged, Verb},
    watch::{Reporter, WatchRequest, Watcher, Watches},
};
use crate::{
    call_id::CallId,
    codec::{self, ContentType},
    job::RunningJobs,
    limits::{
        CALL_TIMEOUT_MAX, CONTROL_ANSWERS_AT_ONCE, CONTROL_ANSWERS_PER_SECOND,
        CONTROL_REQUEST_BYTES_MAX,
    },
    message::Message,
    presence::Profile,
    reply::{Reply, ReplyStore, ReplyTarget},
    wire::ReplyFrame,
};
use serde::Serialize;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// The time the store may take for an answer: whoever asked has left by then.
const STORED_WITHIN: Duration = Duration::from_secs(1);

/// What one instance answers, and where to.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) store: Arc<dyn ReplyStore>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) served: Arc<ServedCalls>,
    pub(crate) watches: Arc<Watches>,
    pub(crate) running_jobs: Arc<RunningJobs>,
    pub(crate) contract: ServedContract,
    pub(crate) may_be_drained: bool,
    pub(crate) rate: AnswerRate,
}

/// How many answers there may be: in a second, and at once.
#[derive(Debug)]
pub(crate) struct AnswerRate {
    second: Mutex<(Instant, u32)>,
    at_once: Arc<Semaphore>,
}

/// Whom an answer is for.
struct Asker {
    id: CallId,
    target: ReplyTarget,
    content_type: ContentType,
}

impl Default for AnswerRate {
    fn default() -> Self {
        Self {
            second: Mutex::new((Instant::now(), 0)),
            at_once: Arc::new(Semaphore::new(CONTROL_ANSWERS_AT_ONCE)),
        }
    }
}

impl AnswerRate {
    fn allows_one(&self) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, answers) = &mut *second;
        if since.elapsed() >= Duration::from_secs(1) {
            (*since, *answers) = (Instant::now(), 0);
        }
        *answers += 1;
        *answers <= CONTROL_ANSWERS_PER_SECOND
    }
}

impl Answers {
    /// Answers a message, unless nobody can be told, it can't be read, or there are too many.
    pub(super) fn hear(self: &Arc<Self>, verb: Verb, message: &Message) {
        let Some(asker) = self.asker(message) else {
            return;
        };
        let within = match verb {
            Verb::Drain => match drain_within(&asker, message) {
                Some(within) => within,
                None => return,
            },
            Verb::Ping | Verb::Info | Verb::Stats | Verb::Contract | Verb::Jobs => Duration::ZERO,
        };
        if !self.rate.allows_one() {
            return;
        }
        let Ok(place) = Arc::clone(&self.rate.at_once).try_acquire_owned() else {
            return;
        };
        let this = Arc::clone(self);
        self.profile.lifetime().spawn(async move {
            let frame = this.answer(verb, within, asker.content_type).await;
            let reply = Reply::new(asker.id, asker.target, frame);
            // Whoever asked hears nothing then, as of an instance that is not there.
            let _ = timeout(STORED_WITHIN, this.store.store(reply)).await;
            drop(place);
        });
    }

    /// Tells whoever asks of the calls that are taken, for a while.
    pub(super) fn watch(&self, message: &Message) {
        let Some(Asker {
            id,
            target: ReplyTarget::Inbox(inbox),
            content_type: encoding,
        }) = self.asker(message)
        else {
            return;
        };
        let Some(request) = WatchRequest::read(encoding, &message.body) else {
            return;
        };
        let watcher = Watcher {
            id,
            inbox,
            encoding,
        };
        if self.rate.allows_one() && self.watches.ask(watcher.clone(), request) {
            let reporter = Reporter {
                watches: Arc::clone(&self.watches),
                watcher,
                instance: self.profile.id(),
                store: Arc::clone(&self.store),
                lifetime: self.profile.lifetime().clone(),
            };
            self.profile.lifetime().spawn(reporter.report());
        }
    }

    fn asker(&self, message: &Message) -> Option<Asker> {
        let properties = &message.properties;
        let target = match &properties.reply_to {
            None => ReplyTarget::Key,
            Some(inbox) if self.store.is_inbox(inbox) => ReplyTarget::Inbox(inbox.clone()),
            Some(_) => return None,
        };
        let content_type = properties.content_type.as_deref();
        (message.body.len() <= CONTROL_REQUEST_BYTES_MAX).then_some(())?;
        Some(Asker {
            id: properties.correlation_id.as_deref()?.parse().ok()?,
            target,
            content_type: ContentType::from_wire(content_type).ok()?,
        })
    }

    async fn answer(&self, verb: Verb, within: Duration, encoding: ContentType) -> bytes::Bytes {
        let instance = self.profile.id();
        match verb {
            Verb::Ping => encode(encoding, &Pinged { instance }),
            Verb::Info => encode(encoding, &self.profile.instance()),
            Verb::Stats => {
                let now = self.profile.instance();
                let stats = InstanceStats {
                    instance,
                    since: now.started_at,
                    in_flight: now.in_flight,
                    methods: self.served.stats(),
                };
                encode(encoding, &stats)
            }
            Verb::Contract => encode(encoding, &self.contract.of(instance)),
            Verb::Jobs => {
                let (jobs, more) = self.running_jobs.told();
                let jobs = InstanceJobs {
                    instance,
                    jobs,
                    more,
                };
                encode(encoding, &jobs)
            }
            Verb::Drain => {
                let outcome = self.drain(within).await;
                encode(encoding, &InstanceDrain { instance, outcome })
            }
        }
    }

    async fn drain(&self, within: Duration) -> DrainOutcome {
        if !self.may_be_drained {
            tracing::warn!(instance = %self.profile.id(), "it was to drain, and is not allowed to");
            return DrainOutcome::Refused;
        }
        let lifetime = self.profile.lifetime();
        if !lifetime.is_draining() {
            tracing::info!(instance = %self.profile.id(), "it drains: it was told to");
        }
        lifetime.drain();
        match timeout(within, lifetime.ended()).await {
            Ok(drained) => DrainOutcome::Drained {
                given_back: u64::try_from(drained.given_back).unwrap_or(u64::MAX),
            },
            Err(_) => DrainOutcome::Draining,
        }
    }
}

/// When an instance is to say that it is not done; `None` of a body that can't be read. Without one
/// it says so at once.
fn drain_within(asker: &Asker, message: &Message) -> Option<Duration> {
    if message.body.is_empty() {
        return Some(Duration::ZERO);
    }
    let asked: DrainRequest = codec::decode(asker.content_type, &message.body).ok()?;
    Some(Duration::from_millis(asked.within_ms).min(CALL_TIMEOUT_MAX))
}

fn encode<T: Serialize>(content_type: ContentType, answer: &T) -> bytes::Bytes {
    // Texts and numbers: neither encoder has a way to fail.
    ReplyFrame::encode_ok(content_type, answer).unwrap_or_default()
}
