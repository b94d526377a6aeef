//! The broker: that in memory, for who reaches it over TCP.

use crate::frames::{self, Answer, Asked, Said};
use replybus::{
    Instant, SetupError,
    transport::{
        Binding, Deliveries, Outgoing, Settled, Settler, Source, Transport, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};

/// Starts a hub on a port of its own, on this machine.
pub(crate) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let broker = MemoryBroker::new();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = broker.connect();
            tokio::spawn(async move {
                let unsettled = Arc::default();
                // Whatever is wrong with it, it ends, and nobody else's does. All that it held is
                // back at once and in its order.
                let _ = serve(stream, &connection, &unsettled).await;
                connection.close(Duration::ZERO).await;
            });
        }
    });
    Ok(address)
}

/// What was delivered over one connection and is not settled.
#[derive(Default)]
struct Unsettled {
    last: AtomicU64,
    settlers: Mutex<HashMap<u64, Settler>>,
}

impl Unsettled {
    fn add(&self, settler: Settler) -> u64 {
        let delivery = self.last.fetch_add(1, Ordering::Relaxed);
        let settlers = self.settlers.lock();
        settlers
            .unwrap_or_else(PoisonError::into_inner)
            .insert(delivery, settler);
        delivery
    }

    fn settle(&self, delivery: u64, settled: Settled) {
        let settlers = self.settlers.lock();
        let settler = settlers
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&delivery);
        if let Some(settler) = settler {
            settler.settle(settled);
        }
    }
}

/// One connection, until its end.
async fn serve(
    stream: TcpStream,
    connection: &MemoryTransport,
    unsettled: &Arc<Unsettled>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut from, to) = stream.into_split();
    let (say, said) = mpsc::unbounded_channel();
    tokio::spawn(frames::write(to, said));
    let mut stops = HashMap::new();
    while let Some((number, asked)) = frames::read::<(u64, Asked)>(&mut from).await? {
        let answer = match asked {
            Asked::Publish(message, left, mandatory) => {
                let mut outgoing = Outgoing::new((*message).into()).mandatory(mandatory);
                outgoing.deadline = left.and_then(|left| Instant::now().checked_add(left));
                match connection.publish(outgoing).verdict().await {
                    Verdict::Confirmed => Answer::Done,
                    Verdict::Unroutable => Answer::Unroutable,
                    Verdict::NotWritten => Answer::NotWritten,
                    _ => Answer::Refused,
                }
            }
            Asked::Declare(queue) => match connection.declare(queue.into()).await {
                Ok(()) => Answer::Done,
                Err(error) => Answer::Failed(reason(error)),
            },
            Asked::Inspect(queue) => match connection.inspect(&queue).await {
                Ok(state) => Answer::Queue(state.map(|state| (state.waiting, state.consumers))),
                Err(error) => Answer::Failed(error.to_string()),
            },
            Asked::Consume(queue, prefetch, bindings) => {
                let source = bindings.into_iter().fold(
                    Source::new(queue.into(), prefetch),
                    |source, (exchange, key)| source.bind(Binding::new(exchange, key)),
                );
                match connection.consume(source).await {
                    Ok(deliveries) => {
                        let (stop, stopped) = oneshot::channel();
                        stops.insert(number, stop);
                        let unsettled = Arc::clone(unsettled);
                        tokio::spawn(deliver(number, deliveries, unsettled, stopped, say.clone()));
                        Answer::Done
                    }
                    Err(error) => Answer::Failed(reason(error)),
                }
            }
            Asked::Settle(delivery, ack) => {
                let settled = if ack { Settled::Ack } else { Settled::Requeue };
                unsettled.settle(delivery, settled);
                continue;
            }
            Asked::Stop(consumer) => {
                let (ended, end) = oneshot::channel();
                if let Some(stop) = stops.remove(&consumer)
                    && stop.send(ended).is_ok()
                {
                    // An error is an end as well.
                    let _ = end.await;
                }
                Answer::Done
            }
            Asked::Close => break,
        };
        if say.send(Said::Answer(number, answer)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Passes on what a consumer gets, until it is stopped or its connection ends.
async fn deliver(
    consumer: u64,
    mut deliveries: Box<dyn Deliveries>,
    unsettled: Arc<Unsettled>,
    mut stopped: oneshot::Receiver<oneshot::Sender<()>>,
    say: mpsc::UnboundedSender<Said>,
) {
    loop {
        tokio::select! {
            biased;
            ended = &mut stopped => {
                deliveries.stop().await;
                if let Ok(ended) = ended {
                    // Who asked may be gone.
                    let _ = ended.send(());
                }
                return;
            }
            next = deliveries.next() => {
                let Some(next) = next else { return };
                let delivery = unsettled.add(next.settler);
                let message = Box::new(next.message.into());
                let redelivered = next.redelivered;
                if say.send(Said::Delivery(consumer, delivery, message, redelivered)).is_err() {
                    return;
                }
            }
        }
    }
}

fn reason(error: SetupError) -> String {
    match error {
        SetupError::Topology { reason, .. } => reason,
        other => other.to_string(),
    }
}
