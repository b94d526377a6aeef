//! The transport: a connection to the hub.

use crate::{
    connection::{Connection, State},
    frames::{Answer, Asked},
};
use async_trait::async_trait;
use replybus::{Instant, SetupError, limits::UNCONFIRMED_MAX, transport::*};
use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};

/// Where the hub is: what `Bus::connect` takes.
#[derive(Debug, Clone)]
pub(crate) struct HubAddress(pub(crate) SocketAddr);

#[async_trait]
impl TransportBackend for HubAddress {
    async fn open(self: Box<Self>) -> Result<Arc<dyn Transport>, SetupError> {
        let unreachable =
            |error: std::io::Error| SetupError::unreachable("the hub", self.0.to_string(), error);
        let stream = TcpStream::connect(self.0).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        Ok(Arc::new(OverTcp(Connection::over(stream))))
    }
}

#[derive(Debug)]
struct OverTcp(Arc<Connection>);

#[async_trait]
impl Transport for OverTcp {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        let left = outgoing
            .deadline
            .map(|at| at.saturating_duration_since(Instant::now()));
        let mut state = self.0.state();
        if state.ended || left.is_some_and(|left| left.is_zero()) {
            return Receipt::told(Verdict::NotWritten);
        }
        if state.slips.len() >= UNCONFIRMED_MAX {
            return Receipt::told(Verdict::Busy);
        }
        let (slip, receipt) = Receipt::pair();
        if slip.begin_write() {
            let asked = Asked::Publish(Box::new(outgoing.message.into()), left, outgoing.mandatory);
            let number = self.0.tell(&mut state, asked);
            state.slips.insert(number, slip);
        }
        receipt
    }

    async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
        let Source {
            queue,
            prefetch,
            bindings,
            ..
        } = source;
        let name = queue.name.clone();
        let bindings = bindings
            .into_iter()
            .map(|to| (to.exchange, to.routing_key))
            .collect();
        let (sender, deliveries) = mpsc::unbounded_channel();
        let mut consumer = Consumer {
            connection: Arc::clone(&self.0),
            number: 0,
            deliveries,
        };
        let hears = |number, state: &mut State| {
            consumer.number = number;
            state.consumers.insert(number, sender);
        };
        let answer = self
            .0
            .ask(Asked::Consume(queue.into(), prefetch, bindings), hears)
            .await;
        Answer::done(answer, &name)?;
        Ok(Box::new(consumer))
    }

    async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError> {
        let name = queue.name.clone();
        Answer::done(
            self.0.ask(Asked::Declare(queue.into()), |_, _| ()).await,
            &name,
        )
    }

    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
        match self
            .0
            .ask(Asked::Inspect(queue.to_owned()), |_, _| ())
            .await
        {
            Some(Answer::Queue(told)) => Ok(told.map(|(waits, by)| QueueState::new(waits, by))),
            Some(other) => Err(InspectError::refused(queue, format!("{other:?}"))),
            None => Err(InspectError::Closed),
        }
    }

    fn health(&self) -> TransportHealth {
        match self.0.state().ended {
            false => TransportHealth::Up,
            true => TransportHealth::Down("the connection to the hub has ended".to_owned()),
        }
    }

    async fn close(&self, within: Duration) {
        // The hub answers in turn: what was published before has its verdict by then.
        let _ = timeout(within, self.0.ask(Asked::Close, |_, _| ())).await;
        self.0.end();
    }
}

impl Drop for OverTcp {
    fn drop(&mut self) {
        self.0.tell(&mut self.0.state(), Asked::Close);
    }
}

/// The deliveries of one queue.
#[derive(Debug)]
struct Consumer {
    connection: Arc<Connection>,
    number: u64,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
}

#[async_trait]
impl Deliveries for Consumer {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.deliveries.poll_recv(cx)
    }

    async fn stop(&mut self) {
        self.connection
            .ask(Asked::Stop(self.number), |_, _| ())
            .await;
        // All that was on its way is here by now; what is dropped is given back.
        self.connection.state().consumers.remove(&self.number);
        while self.deliveries.try_recv().is_ok() {}
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        if state.consumers.remove(&self.number).is_some() {
            self.connection.tell(&mut state, Asked::Stop(self.number));
        }
    }
}
