//! The asking end: those who serve a queue are asked, and their answers gathered.

use super::{
    EXCHANGE,
    cancel::{self, Cancelled},
    contract::InstanceContract,
    control_queue,
    error::ControlError,
    verb::{
        DrainRequest, InstanceAnswer, InstanceDrain, InstanceJobs, InstanceStats, Pinged, Pong,
        Verb,
    },
};
use crate::{
    bus::Bus,
    call_id::CallId,
    codec::{self, ContentType},
    contract::check_name,
    limits::{
        CALL_TIMEOUT_MAX, CONTROL_ANSWERS_WITHIN, CONTROL_REQUEST_BYTES_MAX, INSTANCES_LISTED_MAX,
    },
    message::{Message, Properties, Text},
    presence::{Instance, InstanceId},
    transport::{Outgoing, Verdict},
    wire::ReplyFrame,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

impl Bus {
    /// The instances that serve a queue, to be asked how they are, or drained: all of them, or
    /// [one](Control::instance).
    ///
    /// Whoever may publish to the exchange `replybus.control` of the bus may ask all, and who may
    /// publish to the default exchange one. To drain is refused unless the service
    /// [allows](crate::server::Serve::allow_drain) it.
    ///
    /// ```
    /// use replybus::{Bus, Never, control::DrainOutcome, queue_handler};
    /// use std::time::Duration;
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
    /// # let serving = bus.serve(GreeterServer::new(English)).allow_drain().await?;
    /// # GreeterClient::new(&bus).greet("Ada".to_owned()).await?;
    /// let greeters = bus.control(GreeterClient::CONTRACT.queue);
    /// for stats in greeters.stats().await? {
    ///     println!("{}: {:?}", stats.instance, stats.methods.get("greet"));
    /// #   assert_eq!(stats.methods["greet"].served, 1);
    /// }
    ///
    /// // The first of them is to go: it takes no more, and ends what it has.
    /// let first = greeters.ping().await?.first().ok_or("nobody serves it")?.instance;
    /// let drained = greeters.instance(first).drain(Duration::from_secs(20)).await?;
    /// assert_eq!(drained[0].outcome, DrainOutcome::Drained { given_back: 0 });
    /// # serving.run_until(std::future::pending::<()>()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn control(&self, queue: impl Into<String>) -> Control {
        Control {
            bus: self.clone(),
            queue: queue.into(),
            instance: None,
            within: CONTROL_ANSWERS_WITHIN,
        }
    }
}

/// Instances that are to be asked; see [`Bus::control`].
///
/// Answers are gathered until all instances that are [known](Bus::instances) have answered, or for
/// [as long](Self::within) as is waited. Who does not answer is not in what is returned: it is gone,
/// is of a version that does not hear this, may not listen, or has too much to answer. Answers are
/// those of the queue's instances only as far as the servers are trusted.
#[derive(Debug, Clone)]
#[must_use = "nobody is asked before a verb"]
pub struct Control {
    bus: Bus,
    queue: String,
    instance: Option<InstanceId>,
    within: Duration,
}

impl Control {
    /// Asks only this one.
    pub fn instance(mut self, instance: InstanceId) -> Self {
        self.instance = Some(instance);
        self
    }

    /// Sets how long answers are waited for, instead of [`CONTROL_ANSWERS_WITHIN`].
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within.min(CALL_TIMEOUT_MAX);
        self
    }

    /// Asks whether they are there.
    ///
    /// # Errors
    /// It can't be asked; see [`ControlError`].
    ///
    /// # Cancel safety
    /// Safe; answers are passed over.
    pub async fn ping(&self) -> Result<Vec<Pong>, ControlError> {
        let asked = Instant::now();
        let pong = |(pinged, at): (Pinged, Instant)| Pong {
            instance: pinged.instance,
            took: at.saturating_duration_since(asked),
        };
        let answers = self.ask(Verb::Ping, Bytes::new(), self.within).await?;
        Ok(answers.into_iter().map(pong).collect())
    }

    /// Asks what they are: what they say of themselves in their records, at this moment.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    ///
    /// # Cancel safety
    /// As [`ping`](Self::ping).
    pub async fn info(&self) -> Result<Vec<Instance>, ControlError> {
        let answers = self.ask(Verb::Info, Bytes::new(), self.within).await?;
        Ok(answers.into_iter().map(|(instance, _)| instance).collect())
    }

    /// Asks what they have done since they were started.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    ///
    /// # Cancel safety
    /// As [`ping`](Self::ping).
    pub async fn stats(&self) -> Result<Vec<InstanceStats>, ControlError> {
        let answers = self.ask(Verb::Stats, Bytes::new(), self.within).await?;
        Ok(answers.into_iter().map(|(stats, _)| stats).collect())
    }

    /// Asks for their contracts as data, which they have if their programs are built with the feature
    /// `schema`: what `schema::Contracts` compares and exports. Those of a deployment that is under
    /// way differ.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    ///
    /// # Cancel safety
    /// As [`ping`](Self::ping).
    pub async fn contracts(&self) -> Result<Vec<InstanceContract>, ControlError> {
        let answers = self.ask(Verb::Contract, Bytes::new(), self.within).await?;
        Ok(answers.into_iter().map(|(contract, _)| contract).collect())
    }

    /// Asks which [jobs](crate::contract::MethodContract::job) they run, and how far these are.
    ///
    /// ```
    /// use replybus::{Bus, Context, Never, queue_handler};
    ///
    /// #[queue_handler("report.requests")]
    /// pub trait Reports {
    ///     #[command(job = "1h")]
    ///     async fn yearly(&self, year: u16) -> Result<String, Never>;
    /// }
    /// # struct Archive;
    /// # impl Reports for Archive {
    /// #     async fn yearly(&self, year: u16) -> Result<String, Never> {
    /// #         Context::current().progress(2, 12, "February");
    /// #         Context::current().cancelled().await;
    /// #         Ok(year.to_string())
    /// #     }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(ReportsServer::new(Archive)).await?;
    /// # let ticket = ReportsClient::new(&bus).yearly(2025).submit().await?;
    /// # ticket.progress(&bus).next().await;
    /// let reports = bus.control(ReportsClient::CONTRACT.queue);
    /// for running in reports.jobs().await? {
    ///     for job in running.jobs {
    ///         let progress = job.progress.map_or(String::new(), |progress| progress.to_string());
    ///         println!("{} {}: {progress}", job.id, job.method); // .. yearly: 2 of 12, February
    /// #       assert_eq!(progress, "2 of 12, February");
    ///         reports.cancel(job.id).await?;
    ///     }
    /// }
    /// # assert_eq!(ticket.wait(&bus).await?, "2025");
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    ///
    /// # Cancel safety
    /// As [`ping`](Self::ping).
    pub async fn jobs(&self) -> Result<Vec<InstanceJobs>, ControlError> {
        let answers = self.ask(Verb::Jobs, Bytes::new(), self.within).await?;
        Ok(answers.into_iter().map(|(jobs, _)| jobs).collect())
    }

    /// Cancels a call: a query that is run is dropped, a command or a job that is run is told by
    /// [`Context::cancelled`](crate::Context::cancelled), and what comes within the next 20 minutes
    /// is not started. `false` if nobody serves the queue who could hear it.
    ///
    /// Nobody says what came of it. A [ticket](crate::Ticket::cancel) cancels for certain, as it
    /// writes that into the record of its call: one that is cancelled here, and whose worker dies
    /// before it has ended, is begun anew.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may or may not have cancelled the call.
    pub async fn cancel(&self, id: CallId) -> Result<bool, ControlError> {
        check_name("queue", &self.queue).map_err(ControlError::Misnamed)?;
        let now = Instant::now();
        let body = cancel::body(&[Cancelled {
            id,
            deadline: now + CALL_TIMEOUT_MAX,
        }]);
        let until = now + self.within;
        self.publish(cancel::KIND, id, body, until).await
    }

    /// Drains them, as far as they [allow](crate::server::Serve::allow_drain) it: they take no more,
    /// let what runs finish within [their own time](crate::server::Serve::drain_within), and give
    /// the rest back to the queue, as at a [shutdown](crate::server::Serving::shutdown). Each
    /// answers when it is done, or that it is not after `within`, up to [`CALL_TIMEOUT_MAX`]; it
    /// goes on draining then.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, they may or may not drain.
    pub async fn drain(&self, within: Duration) -> Result<Vec<InstanceDrain>, ControlError> {
        let within = within.min(CALL_TIMEOUT_MAX);
        let request = DrainRequest {
            within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
        };
        let encoding = ContentType::default();
        let body = codec::encode(encoding, &request, CONTROL_REQUEST_BYTES_MAX);
        let body = body.map_err(|error| ControlError::not_sent(error.to_string()))?;
        let answers = self.ask(Verb::Drain, body, within + self.within).await?;
        Ok(answers.into_iter().map(|(drain, _)| drain).collect())
    }

    /// Asks, and gathers the answers of each instance with the moment at which it came.
    async fn ask<A: InstanceAnswer>(
        &self,
        verb: Verb,
        body: Bytes,
        within: Duration,
    ) -> Result<Vec<(A, Instant)>, ControlError> {
        check_name("queue", &self.queue).map_err(ControlError::Misnamed)?;
        let until = Instant::now() + within;
        let mut missing = self.expected(until).await;
        let knows_all = !missing.is_empty();
        let inner = self.bus.inner();
        let id = CallId::new();
        let gathering = inner.waiters.gather(id);
        let mut gathering = gathering.ok_or(ControlError::Busy)?;
        if !self.publish(verb.as_str(), id, body, until).await? {
            return Ok(Vec::new());
        }
        let mut answers = BTreeMap::new();
        while !(knows_all && missing.is_empty()) && answers.len() < INSTANCES_LISTED_MAX {
            let Ok(Some(frame)) = timeout_at(until, gathering.next()).await else {
                break;
            };
            let Some(answer) = read::<A>(&frame) else {
                continue;
            };
            missing.remove(&answer.instance());
            let place = answers.entry(answer.instance());
            place.or_insert((answer, Instant::now()));
        }
        Ok(answers.into_values().collect())
    }

    /// Publishes what is for them; `false` if nobody serves the queue who could hear it.
    pub(super) async fn publish(
        &self,
        kind: &'static str,
        id: CallId,
        body: Bytes,
        until: Instant,
    ) -> Result<bool, ControlError> {
        let outgoing = Outgoing::new(self.message(kind, id, body)).deadline(until);
        match self.bus.inner().transport.publish(outgoing).verdict().await {
            Verdict::Confirmed | Verdict::Lost => Ok(true),
            // There is no control queue.
            Verdict::Unroutable => Ok(false),
            Verdict::Denied(reason) => Err(ControlError::denied(&*reason)),
            Verdict::Unacceptable(reason) => Err(ControlError::not_sent(&*reason)),
            Verdict::Refused | Verdict::Busy => Err(ControlError::Busy),
            Verdict::NotWritten => Err(ControlError::not_sent("there was no connection in time")),
        }
    }

    pub(super) fn bus(&self) -> &Bus {
        &self.bus
    }

    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    /// How long answers are waited for.
    pub(super) fn answers_within(&self) -> Duration {
        self.within
    }

    /// Those whose answers are waited for; empty if nobody knows who they are.
    pub(super) async fn expected(&self, until: Instant) -> BTreeSet<InstanceId> {
        if let Some(instance) = self.instance {
            return BTreeSet::from([instance]);
        }
        let known = timeout_at(until, self.bus.instances(&self.queue)).await;
        let known = known.ok().and_then(Result::ok).unwrap_or_default();
        known.into_iter().map(|instance| instance.id).collect()
    }

    fn message(&self, kind: &'static str, id: CallId, body: Bytes) -> Message {
        let inner = self.bus.inner();
        let (exchange, routing_key) = match self.instance {
            Some(instance) => (String::new(), self.bus.name(&control_queue(instance))),
            None => (self.bus.name(EXCHANGE), self.bus.name(&self.queue)),
        };
        Message {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            properties: Properties {
                kind: Some(Text::from_static(kind)),
                correlation_id: Some(Text::shown(id)),
                reply_to: Some(inner.inbox.clone()),
                app_id: Some(inner.app_id.clone()),
                ..Properties::default()
            },
            body,
        }
    }
}

fn read<A: InstanceAnswer>(frame: &Bytes) -> Option<A> {
    let (content_type, ReplyFrame::Ok(body)) = ReplyFrame::decode(frame).ok()? else {
        return None;
    };
    let answer: A = codec::decode(content_type, &body).ok()?;
    answer.is_sound().then_some(answer)
}
