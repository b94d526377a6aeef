//! The watching end: instances are asked again and again, and what they report is read.

use super::{
    KIND,
    report::{WatchReport, WatchRequest, WatchedCall},
};
use crate::{
    call_id::CallId,
    client::waiters::Gathering,
    codec::ContentType,
    contract::check_name,
    control::{Control, ControlError},
    limits::{
        INSTANCES_LISTED_MAX, NAME_BYTES_MAX, WATCH_LEASE, WATCHED_PER_SECOND,
        WATCHED_PER_SECOND_MAX,
    },
    presence::InstanceId,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The time between two questions: two may be lost in a lease.
const ASKED_EVERY: Duration = Duration::from_secs(WATCH_LEASE.as_secs() / 3);

/// The time in which it is said that nothing more is wanted, before that is left to the lease.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

/// Which calls are told of by a [`CallWatch`], and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchOptions {
    method: Option<String>,
    failed: bool,
    per_second: u32,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            method: None,
            failed: false,
            per_second: WATCHED_PER_SECOND,
        }
    }
}

impl WatchOptions {
    /// All calls, up to [`WATCHED_PER_SECOND`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of one method only; `unknown` is all that the service does not have.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Those only that were not answered with a value: errors of the handler's own, those that are
    /// run again later, and faults.
    #[must_use]
    pub fn failed(mut self) -> Self {
        self.failed = true;
        self
    }

    /// The calls that one instance reports in a second, instead of [`WATCHED_PER_SECOND`], up to
    /// [`WATCHED_PER_SECOND_MAX`]. The others are counted.
    #[must_use]
    pub fn per_second(mut self, calls: u32) -> Self {
        self.per_second = calls.min(WATCHED_PER_SECOND_MAX);
        self
    }

    fn request(&self) -> WatchRequest {
        WatchRequest {
            per_second: self.per_second,
            method: self.method.clone(),
            failed: self.failed,
            end: false,
        }
    }
}

impl Control {
    /// Watches the calls that they take: each is told of when it has ended, with its method, caller
    /// and outcome, and how long it took; never with its arguments or key. Nothing is taken from the
    /// queue, and nothing changed.
    ///
    /// Waits until all instances that are [known](crate::Bus::instances) report, or for as long as
    /// [answers are waited for](Self::within). Instances that come later report within two seconds.
    ///
    /// It is a look, not a record: an instance reports a [bounded number](WatchOptions::per_second)
    /// of calls a second, to [`WATCHES_MAX`](crate::limits::WATCHES_MAX) watchers at a time, and what
    /// a reader is too slow for is lost. What was not told of is [counted](CallWatch::missed).
    ///
    /// ```
    /// use replybus::{Bus, Never, control::WatchOptions, queue_handler};
    /// # #[queue_handler("greeter.requests")]
    /// # pub trait Greeter {
    /// #     #[query]
    /// #     async fn greet(&self, name: String) -> Result<String, Never>;
    /// # }
    /// # struct English;
    /// # impl Greeter for English {
    /// #     async fn greet(&self, name: String) -> Result<String, Never> {
    /// #         Ok(format!("Hello, {name}!"))
    /// #     }
    /// # }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(GreeterServer::new(English)).await?;
    /// let greeters = bus.control(GreeterClient::CONTRACT.queue);
    /// let mut watch = greeters.watch(&WatchOptions::new().method("greet")).await?;
    /// # GreeterClient::new(&bus).greet("Ada".to_owned()).await?;
    /// while let Some(call) = watch.next().await {
    ///     println!("{} {} in {:?}", call.method, call.outcome, call.took);
    /// #   assert!(call.is_ok() && watch.missed() == 0);
    /// #   break;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// They can't be asked; see [`ControlError`].
    ///
    /// # Cancel safety
    /// Safe; they report for [`WATCH_LEASE`] at most, to nobody.
    pub async fn watch(&self, options: &WatchOptions) -> Result<CallWatch, ControlError> {
        check_name("queue", self.queue()).map_err(ControlError::Misnamed)?;
        if let Some(method) = options
            .method
            .as_deref()
            .filter(|m| m.len() > NAME_BYTES_MAX)
        {
            let bytes = method.len();
            let text = format!("the method's name has {bytes} bytes, {NAME_BYTES_MAX} are allowed");
            return Err(ControlError::not_sent(text));
        }
        let until = Instant::now() + self.answers_within();
        let mut missing = self.expected(until).await;
        let knows_all = !missing.is_empty();
        let inner = self.bus().inner();
        let id = CallId::new();
        let reports = inner.waiters.gather(id).ok_or(ControlError::Busy)?;
        let encode = |request: &WatchRequest| {
            let encoded = request.encode(ContentType::default());
            encoded.map_err(|error| ControlError::not_sent(error.to_string()))
        };
        let mut request = options.request();
        let asks = encode(&request)?;
        request.end = true;
        let ends = encode(&request)?;
        let stop = CancellationToken::new();
        let asking = Asking {
            control: self.clone(),
            id,
            asks,
            ends,
            stop: stop.clone(),
        };
        asking.ask(until).await?;
        inner.tasks.spawn(asking.go_on());
        let mut watch = CallWatch {
            reports,
            ready: VecDeque::new(),
            heard: BTreeMap::new(),
            missed: 0,
            closing: inner.stopping.clone(),
            _stop: stop.drop_guard(),
        };
        while !(knows_all && missing.is_empty()) {
            let Ok(Some(instance)) = timeout_at(until, watch.hear()).await else {
                break;
            };
            missing.remove(&instance);
        }
        Ok(watch)
    }
}

/// The calls to a queue as they end; see [`Control::watch`]. Dropped, instances are told that nothing
/// more is wanted.
#[derive(Debug)]
#[must_use = "a watch that is dropped sees nothing"]
pub struct CallWatch {
    reports: Gathering,
    ready: VecDeque<WatchedCall>,
    heard: BTreeMap<InstanceId, Heard>,
    missed: u64,
    closing: CancellationToken,
    _stop: DropGuard,
}

/// What was heard of an instance last.
#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Instant,
    /// The calls that it had to tell of by then.
    matched: u64,
}

impl CallWatch {
    /// The next call that has ended; `None` once the bus is closed.
    ///
    /// # Cancel safety
    /// Safe: dropped before it is ready, it has taken no call.
    pub async fn next(&mut self) -> Option<WatchedCall> {
        loop {
            if let Some(call) = self.ready.pop_front() {
                return Some(call);
            }
            self.hear().await?;
        }
    }

    /// The instances that reported lately: each does every two seconds, with or without calls. They
    /// are those of the last [`next`](Self::next).
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceId> {
        let lately = self
            .heard
            .iter()
            .filter(|(_, heard)| heard.at.elapsed() <= WATCH_LEASE);
        lately.map(|(instance, _)| *instance).collect()
    }

    /// How many calls were asked for and not told of, as far as instances have said: because there
    /// were more in a second than they may report, or because reports were lost on their way.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Waits for a report, and returns whose it is; `None` once the bus is closed.
    async fn hear(&mut self) -> Option<InstanceId> {
        loop {
            let frame = tokio::select! {
                biased;
                () = self.closing.cancelled() => return None,
                frame = self.reports.next() => frame?,
            };
            if let Some(report) = WatchReport::read(&frame)
                && let Some(instance) = self.take(report)
            {
                return Some(instance);
            }
        }
    }

    fn take(&mut self, report: WatchReport<WatchedCall>) -> Option<InstanceId> {
        let WatchReport {
            instance,
            matched,
            calls,
        } = report;
        let now = Instant::now();
        if !self.heard.contains_key(&instance) && self.heard.len() >= INSTANCES_LISTED_MAX {
            self.heard.retain(|_, heard| heard.at + WATCH_LEASE > now);
            if self.heard.len() >= INSTANCES_LISTED_MAX {
                return None;
            }
        }
        let last = self.heard.insert(instance, Heard { at: now, matched });
        let before = last.map_or(0, |last| last.matched);
        // One that had stopped reporting for lack of questions counts anew.
        let ended = matched.checked_sub(before).unwrap_or(matched);
        let told = u64::try_from(calls.len()).unwrap_or(u64::MAX);
        self.missed = self.missed.saturating_add(ended.saturating_sub(told));
        self.ready.extend(calls);
        Some(instance)
    }
}

/// What asks for as long as a watch lives.
struct Asking {
    control: Control,
    id: CallId,
    asks: Bytes,
    ends: Bytes,
    stop: CancellationToken,
}

impl Asking {
    async fn ask(&self, until: Instant) -> Result<(), ControlError> {
        let asked = self
            .control
            .publish(KIND, self.id, self.asks.clone(), until);
        // Where nobody serves now somebody may later.
        asked.await.map(drop)
    }

    async fn go_on(self) {
        let closing = self.control.bus().inner().stopping.clone();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = closing.cancelled() => break,
                () = sleep(ASKED_EVERY) => {}
            }
            if let Err(error) = self.ask(Instant::now() + ASKED_EVERY).await {
                tracing::debug!(%error, "a question to those who are watched was not sent");
            }
        }
        let until = Instant::now() + ENDED_WITHIN;
        let ended = self.control.publish(KIND, self.id, self.ends, until);
        // Not heard, it is over with the lease.
        let _ = ended.await;
    }
}
