//! Messages that are to wait on the broker until they are due: the door to publishing them.
//!
//! A plain queue can't hold messages for different times, because one that expires later holds up
//! those behind it. So there is a queue for each power of two of seconds, which holds all for the
//! same time, and a message goes through those that its delay is made of.
//! `docs/wire-protocol.md` has the queues, the exchanges and the keys.

mod levels;
mod topology;

pub(super) use levels::routing_key;

use self::levels::{Destination, Way};
use super::{
    connect::{Backoff, Failure, FailureKind, Link, Live},
    publish::{Later, Publisher},
};
use crate::{
    limits::CONNECT_TIMEOUT,
    message::Text,
    transport::{Delay, Outgoing, Receipt, Verdict},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, sleep, timeout_at},
};

/// The time for which a destination that was there is taken to be there still.
const DESTINATION_TRUSTED_FOR: Duration = Duration::from_secs(5);

/// The time for which the levels are: what was deleted of them is there again after it.
const LEVELS_TRUSTED_FOR: Duration = Duration::from_secs(60);

/// Destinations that are remembered. Beyond them those are forgotten that are not trusted any more.
const REMEMBERED_MAX: usize = 1024;

/// The time for which a way is made for a message that has no deadline.
const MADE_WITHIN: Duration = Duration::from_secs(60);

/// Something that was declared: on which connection, and until when that is not asked again. Held
/// while it is being declared, so that it is once.
type Declared = Arc<AsyncMutex<Option<(Weak<Live>, Instant)>>>;

/// Publishes messages that are due later, and makes the way for them first.
#[derive(Clone)]
pub(super) struct Delays {
    link: Link,
    declared: Arc<Mutex<HashMap<Text, Declared>>>,
}

impl Delays {
    /// On the connection that declares.
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            declared: Arc::default(),
        }
    }

    pub(super) fn publish(
        &self,
        publisher: &Publisher,
        mut outgoing: Outgoing,
        delay: Delay,
    ) -> Receipt {
        let way = delay.way;
        let destination = match Destination::of(&outgoing.message, &way) {
            Ok(destination) => destination,
            Err(reason) => return Receipt::told(Verdict::Unacceptable(reason.into())),
        };
        let message = &mut outgoing.message;
        message.exchange = way.clone();
        message.routing_key = destination.name.clone();
        // Of a message that was delayed before. RabbitMQ drops one that comes by a queue again.
        message
            .properties
            .retain_headers(|name| !is_of_deaths(name));
        (outgoing.mandatory, outgoing.confirm) = (true, true);
        let within = outgoing.deadline;
        let later = Later {
            due: delay.due,
            destination: destination.name.clone(),
        };
        if self.is_made(&way, &destination) {
            return publisher.publish_later(outgoing, later);
        }
        let delays = self.clone();
        let until = within.unwrap_or_else(|| Instant::now() + MADE_WITHIN);
        let make = async move { delays.make(&way, &destination, until).await };
        publisher.publish_later_after(make, outgoing, later)
    }

    /// `true` if there is nothing to ask or to declare.
    fn is_made(&self, way: &Text, destination: &Destination) -> bool {
        let live = self.link.live();
        let is_fresh = |name: &Text| {
            let declared = self.declared(name);
            let declared = declared.try_lock();
            declared.is_ok_and(|declared| is_fresh(declared.as_ref(), live.as_ref()))
        };
        is_fresh(way) && is_fresh(&Way(way).due_queue(destination).into())
    }

    async fn make(
        &self,
        way: &Text,
        destination: &Destination,
        until: Instant,
    ) -> Result<(), Verdict> {
        let mut link = self.link.clone();
        let mut backoff = Backoff::new();
        loop {
            let Ok(Some(live)) = timeout_at(until, link.up()).await else {
                return Err(Verdict::NotWritten);
            };
            let failure = match self.make_on(&live, way, destination, until).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(Verdict::Unroutable),
                Err(failure) => failure,
            };
            if !matches!(failure.kind, FailureKind::Transient | FailureKind::Silent) {
                return Err(refusal(way, &failure));
            }
            let pause = backoff.next();
            if Instant::now() + pause >= until {
                return Err(Verdict::NotWritten);
            }
            sleep(pause).await;
        }
    }

    /// Declares what is not declared yet; `false` if there is no such destination.
    async fn make_on(
        &self,
        live: &Arc<Live>,
        way: &Text,
        destination: &Destination,
        until: Instant,
    ) -> Result<bool, Failure> {
        // The last attempt has some time, too.
        let until = until.max(Instant::now() + CONNECT_TIMEOUT);
        let levels = self.declared(way);
        let mut levels = levels.lock().await;
        if !is_fresh(levels.as_ref(), Some(live)) {
            topology::declare_levels(live, Way(way), until).await?;
            *levels = Some((Arc::downgrade(live), Instant::now() + LEVELS_TRUSTED_FOR));
        }
        drop(levels);
        let there = self.declared(&Way(way).due_queue(destination).into());
        let mut there = there.lock().await;
        if !is_fresh(there.as_ref(), Some(live)) {
            if !topology::declare_destination(live, Way(way), destination, until).await? {
                return Ok(false);
            }
            *there = Some((
                Arc::downgrade(live),
                Instant::now() + DESTINATION_TRUSTED_FOR,
            ));
        }
        Ok(true)
    }

    fn declared(&self, name: &Text) -> Declared {
        let mut all = self.all();
        if let Some(declared) = all.get(name) {
            return Arc::clone(declared);
        }
        if all.len() >= REMEMBERED_MAX {
            let now = Instant::now();
            all.retain(|_, declared| {
                let trusted = |declared: &Option<(Weak<Live>, Instant)>| {
                    declared.as_ref().is_some_and(|(_, until)| *until > now)
                };
                // One that is being declared is somebody's.
                declared
                    .try_lock()
                    .map_or(true, |declared| trusted(&declared))
            });
        }
        Arc::clone(all.entry(name.clone()).or_default())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Text, Declared>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(declared: Option<&(Weak<Live>, Instant)>, live: Option<&Arc<Live>>) -> bool {
    declared.zip(live).is_some_and(|((on, until), live)| {
        *until > Instant::now() && Weak::as_ptr(on) == Arc::as_ptr(live)
    })
}

/// Headers in which RabbitMQ notes the queues that a message died in.
fn is_of_deaths(name: &str) -> bool {
    ["x-death", "x-first-death-", "x-last-death-"]
        .iter()
        .any(|deaths| name.starts_with(deaths))
}

/// The verdict on a message whose way can't be made.
fn refusal(way: &str, failure: &Failure) -> Verdict {
    let text = |fix: &str| format!("delays need {way:?} and {way}.*: {failure} ({fix})").into();
    match failure.kind {
        FailureKind::Refused => Verdict::Denied(text(
            "give the user the permissions to configure, write and read them",
        )),
        FailureKind::Mismatch => Verdict::Unacceptable(text(
            "RabbitMQ is too old, or something of that name has other arguments",
        )),
        _ => Verdict::Unacceptable(text("nothing was sent")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_broker_says_of_deaths_is_left_out() {
        for name in ["x-death", "x-first-death-queue", "x-last-death-reason"] {
            assert!(is_of_deaths(name), "{name}");
        }
        for name in ["x-replybus-due", "deadline", "death", "tenant"] {
            assert!(!is_of_deaths(name), "{name}");
        }
    }
}
