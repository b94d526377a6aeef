//! A connection to the hub: what is asked, and what comes back.

use crate::frames::{self, Answer, Asked, Said};
use replybus::transport::{Acknowledger, Delivery, Settled, Settler, Slip};
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    net::{TcpStream, tcp::OwnedReadHalf},
    sync::{mpsc, oneshot},
};

/// What the transport, its consumers and settlers share.
#[derive(Debug)]
pub(crate) struct Connection {
    ask: mpsc::UnboundedSender<(u64, Asked)>,
    state: Mutex<State>,
}

/// What waits for the hub, by the number of what was asked.
#[derive(Debug, Default)]
pub(crate) struct State {
    last: u64,
    pub(crate) ended: bool,
    pub(crate) slips: HashMap<u64, Slip>,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    pub(crate) consumers: HashMap<u64, mpsc::UnboundedSender<Delivery>>,
}

impl Connection {
    pub(crate) fn over(stream: TcpStream) -> Arc<Self> {
        let (from, to) = stream.into_split();
        let (ask, asked) = mpsc::unbounded_channel();
        tokio::spawn(frames::write(to, asked));
        let state = Mutex::default();
        let connection = Arc::new(Self { ask, state });
        tokio::spawn(Arc::clone(&connection).listen(from));
        connection
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, behind all that was asked before, and waits for no answer.
    pub(crate) fn tell(&self, state: &mut State, asked: Asked) -> u64 {
        state.last += 1;
        // On a lost connection nobody takes it; who reads sees the loss.
        let _ = self.ask.send((state.last, asked));
        state.last
    }

    /// Asks, and waits for the answer; `None` if the connection has ended.
    pub(crate) async fn ask(
        &self,
        asked: Asked,
        hears: impl FnOnce(u64, &mut State),
    ) -> Option<Answer> {
        let answer = {
            let mut state = self.state();
            if state.ended {
                return None;
            }
            let (sender, answer) = oneshot::channel();
            let number = self.tell(&mut state, asked);
            state.answers.insert(number, sender);
            hears(number, &mut state);
            answer
        };
        answer.await.ok()
    }

    /// Takes what the hub says, until the connection ends.
    async fn listen(self: Arc<Self>, mut from: OwnedReadHalf) {
        while let Ok(Some(said)) = frames::read(&mut from).await {
            match said {
                Said::Answer(number, answer) => {
                    let mut state = self.state();
                    if let Some(slip) = state.slips.remove(&number) {
                        slip.fill(answer.verdict());
                    } else if let Some(asker) = state.answers.remove(&number) {
                        let _ = asker.send(answer); // Who asked may be gone.
                    }
                }
                Said::Delivery(consumer, number, message, redelivered) => {
                    let settler = Settler::new(number, Arc::<Self>::clone(&self));
                    let delivery =
                        Delivery::new((*message).into(), settler).redelivered(redelivered);
                    let consumer = self.state().consumers.get(&consumer).cloned();
                    // Of a consumer that is gone it is dropped, and so given back.
                    if let Some(consumer) = consumer {
                        let _ = consumer.send(delivery);
                    }
                }
            }
        }
        self.end();
    }

    /// Slips that are dropped tell that their messages may be lost; consumers come to their end.
    pub(crate) fn end(&self) {
        let ended = State {
            ended: true,
            ..State::default()
        };
        let before = mem::replace(&mut *self.state(), ended);
        drop(before);
    }
}

impl Acknowledger for Connection {
    fn settle(&self, number: u64, settled: Settled) {
        self.tell(
            &mut self.state(),
            Asked::Settle(number, settled == Settled::Ack),
        );
    }
}
