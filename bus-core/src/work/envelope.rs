//! The envelope of a request: its properties, read without trust.

use crate::{
    call_id::CallId,
    codec::ContentType,
    context::{Context, ContextBuilder, Metadata},
    contract::{Priority, check_key, unix_time},
    error::{Fault, FaultCode},
    limits::{CLOCK_ALLOWANCE, REQUEST_BYTES_MAX},
    message::{Message, Properties, Text},
    reply::{ReplyStore, ReplyTarget},
    wire::headers,
};
use std::time::Duration;
use tokio::time::Instant;

/// The address to answer a message at, and its time, whatever else is wrong with it.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) id: CallId,
    /// The message says that id itself: it has it in every delivery.
    pub(crate) is_named: bool,
    pub(crate) target: ReplyTarget,
    /// The place it named for its reply, if that is no inbox of this bus.
    pub(crate) foreign_inbox: Option<Text>,
    /// Its caller reads replies in groups.
    pub(crate) reads_groups: bool,
    pub(crate) content_type: ContentType,
    pub(crate) received: Instant,
    /// When the caller stops waiting, by this process's clock.
    pub(crate) deadline: Option<Instant>,
    /// The same by the caller's clock, since the Unix epoch, as the message names it.
    pub(crate) deadline_named: Option<Duration>,
    /// When it is no longer to be started.
    pub(crate) start_by: Option<Instant>,
    /// It is the message of a job that was started.
    pub(crate) was_started: bool,
    /// Its times are what its caller signed.
    pub(crate) is_signed: bool,
    /// Its time to live is not over when by its deadline and our clock its time has passed.
    lives_on: bool,
    /// The first thing that is wrong with it.
    fault: Option<Fault>,
}

/// `true` for a copy that was published again: an earlier one may have been delivered.
pub(crate) fn is_repeated(message: &Message) -> bool {
    let properties = &message.properties;
    properties.header(headers::REPEATED) == Some(headers::TRUE)
        || properties.is_unreadable(headers::REPEATED)
}

/// `true` for one that was put back from the dead letters: nobody else looks for what becomes of it.
pub(crate) fn is_redriven(message: &Message) -> bool {
    message.properties.header(headers::DEAD_REDRIVEN).is_some()
}

/// The fault of a request that was not started in time.
pub(crate) fn expired() -> Fault {
    Fault::new(
        FaultCode::Expired,
        "its time had passed before it was started",
    )
}

/// The fault of a request that was cancelled before it was started.
pub(crate) fn cancelled() -> Fault {
    let text = "it was cancelled before it was started";
    Fault::new(FaultCode::Cancelled, text)
}

/// The fault of a message of which parts can't be read.
pub(crate) fn unreadable(reason: &str) -> Fault {
    Fault::new(
        FaultCode::BadRequest,
        format!("the message can't be read: {reason}"),
    )
}

impl Envelope {
    pub(crate) fn read(message: &Message, received: Instant, store: &dyn ReplyStore) -> Self {
        let properties = &message.properties;
        let mut fault = None;
        let mut bad = |text: String| {
            fault.get_or_insert(Fault::new(FaultCode::BadRequest, text));
        };
        let (name, target) = match &properties.correlation_id {
            Some(text) => match text.parse() {
                Ok(id) => (Some(id), Self::target(properties, store, &mut bad)),
                Err(error) => {
                    bad(format!("correlation_id: {error}"));
                    (None, ReplyTarget::None)
                }
            },
            // A one-way message; its name is that of the publish, if it has one.
            None => {
                let name = properties
                    .message_id
                    .as_deref()
                    .and_then(|id| id.parse().ok());
                (name, ReplyTarget::None)
            }
        };
        let content_type = ContentType::from_wire(properties.content_type.as_deref());
        let content_type = content_type.unwrap_or_else(|error| {
            bad(error.to_string());
            ContentType::guess(properties.content_type.as_deref(), &message.body)
        });
        for name in [
            headers::DEADLINE,
            headers::IDEMPOTENCY_KEY,
            headers::REPEATED,
        ] {
            if properties.is_unreadable(name) {
                bad(format!(
                    "header {name}: it has no value that can be read as text"
                ));
            }
        }
        if message.body.len() > REQUEST_BYTES_MAX {
            let bytes = message.body.len();
            bad(format!(
                "the body has {bytes} bytes, {REQUEST_BYTES_MAX} are allowed"
            ));
        }
        let expires = properties.expiration.map(|ttl| received + ttl);
        let absolute = match properties.header(headers::DEADLINE).map(str::parse) {
            Some(Ok(millis)) => Some(Duration::from_millis(millis)),
            Some(Err(_)) => {
                bad("header deadline: milliseconds since the Unix epoch are expected".to_owned());
                None
            }
            None => None,
        };
        // Counted from here the time to live needs no clock but ours; the absolute deadline, which
        // does, can only shorten it, and only by more than clocks may differ.
        let deadline = absolute.map(|absolute| {
            let left = (absolute + CLOCK_ALLOWANCE).saturating_sub(unix_time());
            // From now on, not from when it came: it may have waited here for a slot.
            let by_clock = Instant::now() + left;
            expires.map_or(by_clock, |expires| expires.min(by_clock))
        });
        let lives_on = expires > deadline && expires.is_some_and(|expires| expires > received);
        let waits = matches!(target, ReplyTarget::Inbox(_));
        // What was delayed has its time to live there: of its caller, who does not wait, it says
        // nothing.
        let start_by = deadline.into_iter().chain(expires).min();
        let was_delayed = !waits && properties.header(headers::DUE).is_some();
        let (deadline, absolute) = match was_delayed {
            true => (None, None),
            false => (deadline, absolute),
        };
        let deadline = deadline.or(if waits { expires } else { None });
        Self {
            id: name.unwrap_or_else(CallId::new),
            is_named: name.is_some(),
            foreign_inbox: match target {
                ReplyTarget::Key => properties.reply_to.clone(),
                ReplyTarget::Inbox(_) | ReplyTarget::None => None,
            },
            target,
            reads_groups: false,
            content_type,
            received,
            deadline,
            deadline_named: absolute,
            start_by,
            was_started: false,
            is_signed: false,
            lives_on,
            fault,
        }
    }

    fn target(
        properties: &Properties,
        store: &dyn ReplyStore,
        bad: &mut impl FnMut(String),
    ) -> ReplyTarget {
        match &properties.reply_to {
            None => ReplyTarget::Key,
            Some(inbox) if store.is_inbox(inbox) => ReplyTarget::Inbox(inbox.clone()),
            Some(_) => {
                // Whoever names another key here would write to it with our rights.
                bad("reply_to: not an inbox of this bus".to_owned());
                ReplyTarget::Key
            }
        }
    }

    pub(crate) fn awaited(&self) -> bool {
        self.target != ReplyTarget::None
    }

    /// Names a fault that comes before all others.
    pub(crate) fn refuse(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Bounds its times by the moment until which it may be started, by the clock on the wall and by
    /// ours.
    #[cfg(feature = "signed")]
    pub(crate) fn bound(&mut self, until: Duration, at: Instant) {
        self.is_signed = true;
        if self.was_started {
            return self.bound_started(until, at);
        }
        self.start_by = Some(self.start_by.map_or(at, |by| by.min(at)));
        self.deadline = self.deadline.map(|deadline| deadline.min(at));
        // Its record is kept for as long as a copy of it may come, whatever this one says.
        self.deadline_named = Some(until);
    }

    /// The same of a job that was started: it has the time of its caller, if that waits, and else none.
    /// Nothing that is not signed has a say in it.
    #[cfg(feature = "signed")]
    fn bound_started(&mut self, until: Duration, at: Instant) {
        let waits = matches!(self.target, ReplyTarget::Inbox(_));
        self.start_by = waits.then_some(at);
        self.deadline = waits.then_some(at);
        // A copy of it as it came may be started until then.
        self.deadline_named = (waits || until > unix_time()).then_some(until);
    }

    /// The fault of one that [is late](Self::is_late).
    pub(crate) fn lateness(&self) -> Fault {
        if !self.lives_on {
            return expired();
        }
        let text = "its time had passed before it was started, by its deadline and the clock here: it \
                    was held up on its way, or the clocks of caller and service differ by more than \
                    500 ms";
        Fault::new(FaultCode::Expired, text)
    }

    /// Its fault, if it has one.
    pub(crate) fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// `true` once its time has passed.
    pub(crate) fn is_late(&self) -> bool {
        self.start_by.is_some_and(|by| by <= Instant::now())
    }

    /// How long its message had waited when it was received, if it says when it was published: its
    /// time to live counts from then, and its deadline says when that ends.
    pub(crate) fn waited(&self, message: &Message) -> Option<Duration> {
        let published = self
            .deadline_named?
            .checked_sub(message.properties.expiration?)?;
        let received = unix_time().saturating_sub(self.received.elapsed());
        Some(received.saturating_sub(published))
    }

    /// The moment from which on no further run of it is planned: when its caller stops waiting, or it
    /// is no longer to be started, without the allowance for clocks.
    pub(crate) fn no_run_after(&self, message: &Message) -> Option<Instant> {
        let by = self.deadline.into_iter().chain(self.start_by).min()?;
        match message.properties.expiration {
            Some(_) => Some(by),
            None => by.checked_sub(CLOCK_ALLOWANCE),
        }
    }

    /// Says in headers until when a request may be started that said it by its time to live: for a
    /// message that is to wait on its way.
    pub(crate) fn note_start_by(&self, properties: &mut Properties) {
        if properties.header(headers::DEADLINE).is_some() {
            return;
        }
        let Some(start_by) = self.start_by else {
            return;
        };
        let now = unix_time();
        let left = start_by.saturating_duration_since(Instant::now());
        let mut set = |name, at: Duration| {
            let header = (Text::from_static(name), Text::shown(at.as_millis()));
            properties.headers.push(header);
        };
        set(headers::DEADLINE, now + left);
        if self.deadline.is_none() {
            // Nobody waits until then.
            set(headers::DUE, now);
        }
    }

    /// The beginning of its context.
    pub(crate) fn context(
        &self,
        message: &Message,
        seen_before: bool,
    ) -> Result<ContextBuilder, Fault> {
        let properties = &message.properties;
        let mut context = Context::builder()
            .call_id(self.id)
            .redelivered(seen_before)
            .called_by(properties.app_id.clone())
            .priority(Priority::from_wire(properties.priority))
            .metadata(Metadata::from_headers(&properties.headers));
        if let Some(deadline) = self.deadline {
            context = context.deadline(deadline);
        }
        if let Some(key) = properties.header(headers::IDEMPOTENCY_KEY) {
            check_key(key).map_err(|error| Fault::new(FaultCode::BadRequest, error.to_string()))?;
            context = context.idempotency_key(key);
        }
        Ok(context.carried_by(properties, self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "amqp")]
    use crate::message::{HeaderValue, OtherHeaders};
    use crate::{client::waiters::Waiters, reply::memory::MemoryReplies};
    use std::sync::Arc;

    async fn read(properties: Properties) -> Envelope {
        read_after(Duration::ZERO, properties).await
    }

    /// Reads a message that has waited here for so long.
    async fn read_after(waited: Duration, properties: Properties) -> Envelope {
        let store = MemoryReplies::new().attach("", Arc::new(Waiters::default()));
        let message = Message {
            properties,
            ..Message::default()
        };
        Envelope::read(&message, Instant::now() - waited, store.as_ref())
    }

    fn with_deadline(left: i64, expiration: u64) -> Properties {
        let now = i64::try_from(unix_time().as_millis()).unwrap();
        Properties {
            correlation_id: Some(CallId::new().to_text()),
            expiration: Some(Duration::from_millis(expiration)),
            headers: [(headers::DEADLINE.into(), (now + left).to_string().into())].into(),
            ..Properties::default()
        }
    }

    #[tokio::test]
    async fn clocks_may_differ_by_the_allowance() {
        // The caller's clock is behind ours: by its word the deadline has passed.
        let near = read(with_deadline(-200, 2_000)).await;
        assert!(!near.is_late());
        // A request that was held back: more than any clock explains.
        let far = read(with_deadline(-2_000, 2_000)).await;
        assert!(far.is_late());
        // The caller's clock is ahead: the time to live bounds what is left.
        let ahead = read(with_deadline(60_000, 2_000)).await;
        let left = ahead.deadline.unwrap() - ahead.received;
        assert_eq!(left, Duration::from_millis(2_000));
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_waited_here_has_all_the_time_to_its_deadline() {
        tokio::time::advance(Duration::from_secs(60)).await;
        let waited = Duration::from_secs(8);
        let waiting = read_after(waited, with_deadline(10_000, 30_000)).await;
        let left = waiting.start_by.unwrap() - Instant::now();
        assert!(left > Duration::from_secs(10), "{left:?}");
        assert!(
            left <= Duration::from_secs(10) + CLOCK_ALLOWANCE,
            "{left:?}"
        );
        // And no more than its time to live.
        let waiting = read_after(waited, with_deadline(10_000, 12_000)).await;
        let left = waiting.start_by.unwrap() - Instant::now();
        assert_eq!(left, Duration::from_secs(4));
    }

    #[tokio::test]
    async fn its_wait_is_the_time_between_its_publish_and_its_receipt() {
        let waited = async |left, expiration| {
            let message = Message {
                properties: with_deadline(left, expiration),
                ..Message::default()
            };
            let envelope = read(message.properties.clone()).await;
            envelope.waited(&message).unwrap()
        };
        let long = waited(500, 2_000).await;
        assert!(
            long >= Duration::from_millis(1_499) && long < Duration::from_secs(60),
            "{long:?}"
        );
        // Its publisher's clock is ahead of ours.
        assert_eq!(waited(60_000, 2_000).await, Duration::ZERO);
        let message = Message::default();
        let says_nothing = read(Properties::default()).await;
        assert_eq!(says_nothing.waited(&message), None);
    }

    #[tokio::test]
    async fn what_was_delayed_is_to_be_started_by_its_deadline_and_has_none() {
        let delayed = |left: i64, reply_to: Option<Text>| {
            let mut properties = with_deadline(left, 0);
            properties.expiration = None;
            properties.reply_to = reply_to;
            properties.headers.push((headers::DUE.into(), "17".into()));
            properties
        };
        let waits = read(delayed(60_000, None)).await;
        assert!(!waits.is_late() && waits.start_by.is_some());
        assert_eq!((waits.deadline, waits.deadline_named), (None, None));
        assert!(read(delayed(-2_000, None)).await.is_late());

        // Nobody who waits is taken for one who does not.
        let waiters = Arc::new(Waiters::default());
        let store = MemoryReplies::new().attach("", waiters);
        let message = Message {
            properties: delayed(60_000, Some(store.inbox().into())),
            ..Message::default()
        };
        let awaited = Envelope::read(&message, Instant::now(), store.as_ref());
        assert!(awaited.deadline.is_some() && awaited.deadline_named.is_some());
    }

    #[tokio::test]
    async fn a_reply_goes_to_an_inbox_or_to_the_calls_own_key_and_nowhere_else() {
        let id = CallId::new().to_text();
        let properties = |reply_to: Option<&str>| Properties {
            correlation_id: Some(id.clone()),
            reply_to: reply_to.map(Text::from),
            ..Properties::default()
        };
        assert_eq!(read(properties(None)).await.target, ReplyTarget::Key);
        let mut hostile = read(properties(Some("session:admin"))).await;
        assert_eq!(hostile.target, ReplyTarget::Key);
        assert_eq!(
            hostile.take_fault().map(|fault| fault.code),
            Some(FaultCode::BadRequest)
        );
        assert_eq!(read(Properties::default()).await.target, ReplyTarget::None);
    }

    /// Headers of another type than text.
    #[cfg(feature = "amqp")]
    fn unreadable(name: &str) -> OtherHeaders {
        let mut headers = OtherHeaders::default();
        for name in ["other", name] {
            headers.insert(name.to_owned(), HeaderValue::Float(0.5));
        }
        headers
    }

    #[cfg(feature = "amqp")]
    #[test]
    fn a_copy_whose_mark_can_not_be_read_is_taken_for_one() {
        let copy = |other_headers| Message {
            properties: Properties {
                other_headers,
                ..Properties::default()
            },
            ..Message::default()
        };
        assert!(is_repeated(&copy(unreadable(headers::REPEATED))));
        assert!(!is_repeated(&copy(unreadable(headers::DEADLINE))));
        assert!(!is_repeated(&Message::default()));
    }

    #[tokio::test]
    async fn of_several_faults_the_first_is_named() {
        let mut envelope = read(Properties {
            correlation_id: Some("17".into()),
            content_type: Some("text/plain".into()),
            headers: [(headers::DEADLINE.into(), "soon".into())].into(),
            ..Properties::default()
        })
        .await;
        let fault = envelope.take_fault().unwrap();
        assert!(fault.message.starts_with("correlation_id: "), "{fault}");
        envelope.refuse(expired());
        envelope.refuse(cancelled());
        let fault = envelope.take_fault().unwrap();
        assert_eq!(fault.code, FaultCode::Cancelled);
    }

    #[cfg(feature = "amqp")]
    #[tokio::test]
    async fn a_header_of_the_protocol_that_can_not_be_read_is_not_passed_over() {
        for name in [
            headers::DEADLINE,
            headers::IDEMPOTENCY_KEY,
            headers::REPEATED,
        ] {
            let mut envelope = read(Properties {
                other_headers: unreadable(name),
                ..Properties::default()
            })
            .await;
            let fault = envelope.take_fault().unwrap();
            assert_eq!(fault.code, FaultCode::BadRequest);
            assert!(fault.message.contains(name), "{fault}");
        }
        let mut envelope = read(Properties {
            other_headers: unreadable(headers::TRACEPARENT),
            ..Properties::default()
        })
        .await;
        assert_eq!(envelope.take_fault(), None);
    }

    #[tokio::test]
    async fn an_unreadable_id_is_nobody_to_answer_to() {
        let mut envelope = read(Properties {
            correlation_id: Some("17".into()),
            ..Properties::default()
        })
        .await;
        assert!(!envelope.awaited());
        assert_eq!(
            envelope.take_fault().map(|fault| fault.code),
            Some(FaultCode::BadRequest)
        );
    }
}
