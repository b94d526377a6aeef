//! Mistakes that were made on purpose, between the bus and its servers: each is found, and nothing is
//! without them.

use crate::commands::{CounterClient, serve};
use async_trait::async_trait;
use replybus::{
    Bus, SetupError,
    reply::{Arrivals, Reply, ReplyBackend, ReplyStore, StoreError, Stored},
    transport::{Outgoing, Receipt, Transport, TransportBackend, Verdict},
};
use replybus_sim::{
    Faults, Found, History, Node, ProcessError, Simulation, Violation, check, invariants, search,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

/// The seeds within which a mistake is to be found.
const SEEDS: u64 = 1000;

/// By how much what should come first comes later.
const LATE_BY: Duration = Duration::from_millis(20);

/// A mistake of those that this project must not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    /// A delivery is acknowledged before its reply is stored.
    ReplyAfterAck,
    /// The outcome of a run counts though another has its claim by now.
    NoFence,
    /// A delivery is acknowledged before its dead letter is kept.
    LetterAfterAck,
}

/// What nothing is lost in but by processes and connections.
fn faults() -> Faults {
    Faults::all().lost_queues(false).lost_records(false)
}

async fn connect(node: &Node, mistake: Mistake) -> Result<Bus, SetupError> {
    let broker = Mistaken {
        inner: node.broker(),
        mistake,
    };
    let replies = Mistaken {
        inner: node.replies(),
        mistake,
    };
    Bus::connect(broker, replies).await
}

/// A broker or a store with a mistake in front of it.
struct Mistaken<T> {
    inner: T,
    mistake: Mistake,
}

#[async_trait]
impl<T: TransportBackend> TransportBackend for Mistaken<T> {
    async fn open(self: Box<Self>) -> Result<Arc<dyn Transport>, SetupError> {
        let inner = Box::new(self.inner).open().await?;
        Ok(match self.mistake {
            Mistake::LetterAfterAck => Arc::new(LateLetters(inner)),
            _ => inner,
        })
    }
}

#[async_trait]
impl<T: ReplyBackend> ReplyBackend for Mistaken<T> {
    async fn open(
        self: Box<Self>,
        namespace: &str,
        arrivals: Arc<dyn Arrivals>,
    ) -> Result<Arc<dyn ReplyStore>, SetupError> {
        let inner = Box::new(self.inner).open(namespace, arrivals).await?;
        Ok(match self.mistake {
            Mistake::ReplyAfterAck | Mistake::NoFence => Arc::new(MistakenStore {
                inner,
                mistake: self.mistake,
            }),
            _ => inner,
        })
    }
}

/// Says that letters are kept before they are.
#[derive(Debug)]
struct LateLetters(Arc<dyn Transport>);

crate::delegate::transport!(LateLetters, 0, {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        if !outgoing.message.routing_key.ends_with(".dead") {
            return self.0.publish(outgoing);
        }
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            sleep(LATE_BY).await;
            let _ = inner.publish(outgoing).verdict().await;
        });
        Receipt::told(Verdict::Confirmed)
    }
});

#[derive(Debug)]
struct MistakenStore {
    inner: Arc<dyn ReplyStore>,
    mistake: Mistake,
}

crate::delegate::store!(MistakenStore, inner, {
    async fn store(&self, reply: Reply) -> Result<Stored, StoreError> {
        let inner = Arc::clone(&self.inner);
        if self.mistake == Mistake::ReplyAfterAck {
            tokio::spawn(async move {
                sleep(LATE_BY).await;
                let _ = inner.store(reply).await;
            });
            return Ok(Stored::AsAsked);
        }
        let unfenced = Reply::new(reply.id, reply.target.clone(), reply.frame.clone());
        inner.store(unfenced).await?;
        inner.store(reply).await
    }
});

/// Both callers ask for the same, and for what is refused, which nobody waits for.
async fn call(
    node: Node,
    history: History,
    mistake: Mistake,
    accepted: Arc<Mutex<Vec<String>>>,
) -> Result<(), ProcessError> {
    let bus = connect(&node, mistake).await?;
    let counter = CounterClient::new(&bus);
    for number in 0..3 {
        let what = format!("{}.{number}", node.life());
        let asked = history.asks(&*what);
        let told = counter
            .count(what.clone())
            .idempotency_key(&*what)
            .timeout(PATIENCE)
            .await;
        history.is_told(asked, &told);
        let what = format!("refused {}.{what}", node.name());
        if counter.refuse(what.clone()).send().await.is_ok() {
            accepted.lock().unwrap().push(what);
        }
        sleep(Duration::from_millis(node.chance(300))).await;
    }
    bus.close(Duration::from_secs(5)).await;
    Ok(())
}

/// So long that whatever goes wrong is over before.
const PATIENCE: Duration = Duration::from_secs(120);

fn scenario(simulation: &mut Simulation, mistake: Mistake) -> Result<(), Violation> {
    let (history, accepted) = (History::new(), Arc::<Mutex<Vec<String>>>::default());
    for name in ["worker a", "worker b"] {
        let history = history.clone();
        simulation.service(name, move |node| {
            let history = history.clone();
            async move {
                let bus = connect(&node, mistake).await?;
                serve(node, bus, history).await
            }
        });
    }
    for name in ["caller a", "caller b"] {
        let (history, accepted) = (history.clone(), Arc::clone(&accepted));
        simulation.caller(name, move |node| {
            call(node, history.clone(), mistake, Arc::clone(&accepted))
        });
    }
    let ended = simulation.run()?;
    invariants::answered_truthfully(&history)?;
    invariants::outcomes_agree(&history)?;
    invariants::nobody_is_left_in_doubt(&history)?;
    let letters = ended.left.get("counter.requests.dead");
    for what in accepted.lock().unwrap().iter() {
        let is_of_it = |body: &[u8]| body.windows(what.len()).any(|part| part == what.as_bytes());
        if !letters.is_some_and(|letters| letters.iter().any(|letter| is_of_it(&letter.body))) {
            return Err(Violation::new(format!(
                "{what} was accepted, and is no dead letter"
            )));
        }
    }
    Ok(())
}

fn found(mistake: Mistake) -> Found {
    let found = search(0..SEEDS, &faults(), &|simulation: &mut Simulation| {
        scenario(simulation, mistake)
    });
    let found = found.unwrap_or_else(|| panic!("{mistake:?} was not found in {SEEDS} seeds"));
    println!("{found}");
    found
}

#[test]
fn without_a_mistake_nothing_is_found() {
    // Three times as many as the latest mistake takes to be found.
    check(200, &faults(), |simulation| {
        scenario(simulation, Mistake::None)
    });
}

#[test]
fn a_reply_that_is_stored_after_the_ack_is_found() {
    let found = found(Mistake::ReplyAfterAck);
    assert!(
        found.violation.to_string().contains("left in doubt"),
        "{found}"
    );
}

#[test]
fn an_outcome_that_is_not_fenced_is_found() {
    let found = found(Mistake::NoFence);
    assert!(found.violation.to_string().contains("and then"), "{found}");
}

#[test]
fn a_dead_letter_that_is_kept_after_the_ack_is_found() {
    let found = found(Mistake::LetterAfterAck);
    assert!(
        found.violation.to_string().contains("is no dead letter"),
        "{found}"
    );
}
