//! The one loop that takes deliveries.

use super::{
    DeadLetters, Drained, Lifetime, Occupant, Serving, ServingError, bundle::TakenApart,
    occupied::Occupancy,
};
use crate::{
    bus::BusInner,
    error::{BoxError, SetupError},
    limits::{JOB_LOOKED_AT_EVERY, SLOT_AWAITED_FOR},
    transport::{Deliveries, Delivery, Source},
};
use futures_util::{FutureExt, future::BoxFuture};
use std::{future::Future, time::Duration};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The time that the end of an intake waits for what is done beside it.
const BESIDE_WITHIN: Duration = Duration::from_secs(2);

/// The time that a slot waits for what is being put off.
const PUT_OFF_WITHIN: Duration = Duration::from_secs(1);

/// A stream of deliveries, and what ends it.
pub(crate) struct Intake {
    /// The service or group, for errors and logs.
    name: String,
    queue: String,
    /// Keeps others off the queue, or off its partitions.
    occupancies: Vec<Occupancy>,
    deliveries: TakenApart,
    lifetime: Lifetime,
    /// Says that it has ended.
    end: watch::Sender<Option<Drained>>,
    /// Fired when the time to drain is up: what still runs is no longer waited for.
    cancel: CancellationToken,
    drain_within: Duration,
    /// Fired when the bus stops all its intakes.
    stopping: CancellationToken,
    /// Fired when the bus gives its intakes no more time to drain.
    abandoned: CancellationToken,
    /// The bus waits for these when it is closed.
    tasks: TaskTracker,
    /// What becomes of deliveries that no slot was free for, for long.
    put_off: Option<PutOff>,
}

/// Takes a delivery that no slot was free for.
type PutOff = Box<dyn Fn(Delivery) -> BoxFuture<'static, ()> + Send + Sync>;

impl Intake {
    /// Declares a queue and the queue of its dead letters, and begins to consume it in the name of
    /// a service or group.
    pub(crate) async fn open(
        bus: &BusInner,
        occupant: &Occupant,
        source: Source,
        drain_within: Duration,
    ) -> Result<(Self, DeadLetters), SetupError> {
        let occupancy = bus.occupied.occupy(&source.queue.name, occupant)?;
        let dead_letters = DeadLetters::declare(bus, &source.queue).await?;
        let queue = source.queue.name.clone();
        let deliveries = bus.transport.consume(source).await?;
        let intake = Self::of(
            bus,
            occupant,
            queue,
            vec![occupancy],
            deliveries,
            drain_within,
        );
        Ok((intake, dead_letters))
    }

    /// That of a queue which is consumed already, in the name of a service or group.
    pub(crate) fn of(
        bus: &BusInner,
        occupant: &Occupant,
        queue: String,
        occupancies: Vec<Occupancy>,
        deliveries: Box<dyn Deliveries>,
        drain_within: Duration,
    ) -> Self {
        let (lifetime, end) = Lifetime::new();
        Self {
            lifetime,
            end,
            name: occupant.name(),
            queue,
            occupancies,
            deliveries: TakenApart::none_of(deliveries),
            cancel: CancellationToken::new(),
            drain_within,
            stopping: bus.stopping.clone(),
            abandoned: bus.abandoned.clone(),
            tasks: bus.tasks.clone(),
            put_off: None,
        }
    }

    /// Takes apart what comes as one message and is several requests.
    pub(crate) fn take_bundles(mut self) -> Self {
        self.deliveries.take_bundles();
        self
    }

    /// Gives up deliveries that have waited for a slot for [`SLOT_AWAITED_FOR`].
    pub(crate) fn put_off<F>(self, put_off: impl Fn(Delivery) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let put_off: PutOff = Box::new(move |delivery| Box::pin(put_off(delivery)));
        Self {
            put_off: Some(put_off),
            ..self
        }
    }

    /// The token that is fired when the time to drain is up.
    pub(crate) fn cancel(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Its life, as others see it.
    pub(crate) fn lifetime(&self) -> Lifetime {
        self.lifetime.clone()
    }

    /// Starts the loop: when `ready` gives a slot, takes a delivery and hands both to `process` in
    /// a task of its own. A delivery is never taken before there is a slot, so that what can't be
    /// worked on stays where other workers find it.
    pub(crate) fn start<S, Ready, Process>(
        self,
        ready: impl Fn() -> Ready + Send + Sync + 'static,
        process: impl Fn(S, Delivery) -> Process + Send + Sync + 'static,
    ) -> Serving
    where
        S: Send + 'static,
        Ready: Future<Output = Result<S, BoxError>> + Send + 'static,
        Process: Future<Output = ()> + Send + 'static,
    {
        let (name, tasks, lifetime) = (self.name.clone(), self.tasks.clone(), self.lifetime());
        let task = tasks.spawn(self.run(ready, process));
        Serving {
            name,
            stop: lifetime.stop.drop_guard(),
            asked: lifetime.asked,
            task,
        }
    }

    async fn run<S, Ready, Process>(
        mut self,
        ready: impl Fn() -> Ready + Send + Sync,
        process: impl Fn(S, Delivery) -> Process + Send + Sync,
    ) -> Result<Drained, ServingError>
    where
        S: Send + 'static,
        Ready: Future<Output = Result<S, BoxError>> + Send + 'static,
        Process: Future<Output = ()> + Send + 'static,
    {
        let Lifetime {
            stop,
            asked,
            draining,
            deliveries: tracker,
            beside,
            ..
        } = self.lifetime();
        let taking = async {
            loop {
                let slot = match slot(ready(), &mut self.deliveries, self.put_off.as_ref()).await {
                    Ok(slot) => slot,
                    Err(error) => {
                        let name = self.name.clone();
                        tracing::error!(name, %error, "a layer of the server can't take requests");
                        return ServingError::Stopped {
                            name,
                            source: error,
                        };
                    }
                };
                let Some(delivery) = self.deliveries.next().await else {
                    let name = self.name.clone();
                    return ServingError::Disconnected { name };
                };
                let cancel = self.cancel.clone();
                // Boxed: a task's future is moved several times before it runs.
                let processing = Box::pin(process(slot, delivery));
                tracker.spawn(async move {
                    // Dropped, the delivery gives its message back to the queue.
                    tokio::select! {
                        biased;
                        () = processing => {}
                        () = cancel.cancelled() => {}
                    }
                });
            }
        };
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            () = self.stopping.cancelled() => Ok(()),
            error = taking => Err(error),
        };
        draining.cancel();
        self.deliveries.stop().await;
        let is_asked = asked.is_cancelled() || self.stopping.is_cancelled();
        let reason = match &ended {
            _ if is_asked => "it was shut down".to_owned(),
            Ok(()) => "its handle was dropped: keep it for as long as it is to go on".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::info!(
            name = self.name,
            queue = self.queue,
            reason,
            "takes no more messages"
        );
        for occupancy in self.occupancies {
            occupancy.leave((!is_asked).then(|| reason.clone()));
        }
        tracker.close();
        let drained = tokio::select! {
            biased;
            drained = timeout(self.drain_within, tracker.wait()) => drained.is_ok(),
            () = self.abandoned.cancelled() => false,
        };
        let given_back = tracker.len();
        self.cancel.cancel();
        tracker.wait().await;
        let drained = Drained {
            given_back: if drained { 0 } else { given_back },
        };
        // Nobody need be there to hear it.
        let _ = self.end.send(Some(drained));
        beside.close();
        let _ = timeout(BESIDE_WITHIN, beside.wait()).await;
        match ended {
            Err(error) if !self.stopping.is_cancelled() => Err(error),
            _ => Ok(drained),
        }
    }
}

/// Waits for a slot, and puts off what waits with it for too long: all that is there then, for it
/// came within that time.
async fn slot<S>(
    ready: impl Future<Output = Result<S, BoxError>> + Send,
    deliveries: &mut TakenApart,
    put_off: Option<&PutOff>,
) -> Result<S, BoxError> {
    let Some(put_off) = put_off else {
        return ready.await;
    };
    let mut ready = Box::pin(ready);
    let mut patience = SLOT_AWAITED_FOR;
    let mut malformed = Vec::new();
    loop {
        if let Ok(slot) = timeout(patience, &mut ready).await {
            deliveries.take_back(malformed);
            return slot;
        }
        // Some of it comes back to here, where another may be free.
        patience = JOB_LOOKED_AT_EVERY;
        while let Some(Some(delivery)) = deliveries.next().now_or_never() {
            match delivery.malformed {
                None => {
                    let mut putting = put_off(delivery);
                    tokio::select! {
                        biased;
                        () = &mut putting => {}
                        slot = &mut ready => {
                            // The broker takes nothing, and a handler is free: what was to wait there
                            // goes back to where it came from, and is taken.
                            let _ = timeout(PUT_OFF_WITHIN, putting).await;
                            deliveries.take_back(malformed);
                            return slot;
                        }
                    }
                }
                // Published once more, it would be without what can't be read.
                Some(_) => malformed.push(delivery),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::Message,
        transport::{Settler, settle_orders},
    };
    use async_trait::async_trait;
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
        task::{Context, Poll},
    };

    #[derive(Debug)]
    struct Given(VecDeque<Delivery>);

    #[async_trait]
    impl Deliveries for Given {
        fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Delivery>> {
            self.0
                .pop_front()
                .map_or(Poll::Pending, |next| Poll::Ready(Some(next)))
        }

        async fn stop(&mut self) {}
    }

    fn delivery(name: &str) -> Delivery {
        let message = Message {
            routing_key: name.into(),
            ..Message::default()
        };
        Delivery::new(message, Settler::new(0, settle_orders().0))
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_not_be_read_is_not_put_off_but_waits() {
        let malformed = delivery("malformed").malformed("a header".to_owned());
        let given = Given([malformed, delivery("read")].into());
        let mut deliveries = TakenApart::none_of(Box::new(given));
        let names = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&names);
        let put_off: PutOff = Box::new(move |delivery| {
            let name = delivery.message.routing_key.to_string();
            noted.lock().unwrap().push(name);
            Box::pin(async {})
        });
        let ready = async {
            tokio::time::sleep(SLOT_AWAITED_FOR * 2).await;
            Ok(7)
        };
        let slot = slot(ready, &mut deliveries, Some(&put_off)).await;
        assert_eq!(slot.unwrap(), 7);
        assert_eq!(*names.lock().unwrap(), ["read"]);
        let next = deliveries.next().await.unwrap();
        assert_eq!(next.message.routing_key.as_str(), "malformed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_waits_for_no_broker_that_takes_nothing() {
        let given = Given([delivery("put off"), delivery("next")].into());
        let mut deliveries = TakenApart::none_of(Box::new(given));
        let put_off: PutOff = Box::new(|delivery| {
            Box::pin(async move {
                let _held = delivery;
                std::future::pending().await
            })
        });
        let ready = async {
            tokio::time::sleep(SLOT_AWAITED_FOR * 2).await;
            Ok(7)
        };
        let slot = timeout(
            SLOT_AWAITED_FOR * 3,
            slot(ready, &mut deliveries, Some(&put_off)),
        );
        assert_eq!(slot.await.unwrap().unwrap(), 7);
        let next = deliveries.next().await.unwrap();
        assert_eq!(next.message.routing_key.as_str(), "next");
    }
}
