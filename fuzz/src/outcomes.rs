//! What a reply store says: replies, outcomes of commands, how far a job is. Whatever it is, whoever
//! asks gets a value of its type or an error, and the same by each of the ways in which it is read.
//! And tickets, which whoever holds them can have written.

use crate::world::{EchoClient, EchoServer, Here, to_its_end};
use async_trait::async_trait;
use bytes::Bytes;
use replybus::{
    Bus, CallError, CallId, CancelOutcome, Never, SetupError, Ticket, TicketStatus, codec,
    limits::PROGRESS_NOTE_BYTES_MAX,
    reply::{
        Arrivals, Cancel, Cancelled, Claim, Claimed, CommandRecord, Reply, ReplyBackend,
        ReplyStore, StoreError, StoreHealth, Stored,
    },
    transport::{QueueSpec, Transport as _, memory::MemoryBroker},
    wire::ReplyFrame,
};
use std::{fmt, sync::Arc, time::Duration};

const QUEUE: &str = "fuzz.requests";

type Added = Result<i64, CallError<Never>>;

/// A store that says the same to everybody.
struct Forged {
    says: Bytes,
    /// A job runs, and this is how far it is; otherwise whatever was begun has this outcome.
    is_progress: bool,
    arrivals: Option<Arc<dyn Arrivals>>,
}

pub(crate) fn run(data: &[u8]) {
    let Some((&way, data)) = data.split_first() else {
        return;
    };
    let says = Bytes::copy_from_slice(data);
    match way % 4 {
        0 => to_its_end(submitted(says)),
        1 => to_its_end(served(says)),
        2 => to_its_end(progress(says)),
        _ => {
            if let Ok(ticket) = serde_json::from_slice::<Ticket<Result<i64, Never>>>(data) {
                let text = serde_json::to_string(&ticket).unwrap();
                let again: Ticket<Result<i64, Never>> = serde_json::from_str(&text).unwrap();
                assert_eq!(serde_json::to_string(&again).unwrap(), text);
                to_its_end(held(ticket));
            }
        }
    }
}

/// A bus on such a store, and a queue that nobody consumes.
async fn bus(says: Bytes, is_progress: bool) -> Bus {
    let broker = MemoryBroker::new();
    let declared = broker.connect().declare(QueueSpec::new(QUEUE)).await;
    declared.expect("it is new");
    let store = Forged {
        says,
        is_progress,
        arrivals: None,
    };
    let bus = Bus::connect(broker, store).await;
    bus.expect("it is in this process")
}

/// What is to come of a frame.
fn expected(frame: &Bytes) -> Option<i64> {
    let (content_type, ReplyFrame::Ok(body)) = ReplyFrame::decode(frame).ok()? else {
        return None;
    };
    codec::decode(content_type, &body).ok()
}

fn is_expected(added: &Added, frame: &Bytes) {
    match added {
        Ok(sum) => assert_eq!(Some(*sum), expected(frame)),
        Err(CallError::Handler(never)) => match *never {},
        Err(CallError::Bus(failure)) => {
            assert_eq!(expected(frame), None);
            assert!(!failure.to_string().is_empty());
        }
    }
}

async fn submitted(says: Bytes) {
    let bus = bus(says.clone(), false).await;
    let ticket = EchoClient::new(&bus).add(vec![1, 2]).submit().await;
    let ticket = ticket.expect("there is a queue");
    assert_eq!(ticket.status(&bus).await.unwrap(), TicketStatus::Done);
    is_expected(&ticket.wait(&bus).await, &says);
    match ticket.cancel(&bus).await.unwrap() {
        CancelOutcome::Done(added) => is_expected(&added, &says),
        other => panic!("{other:?}"),
    }
}

/// A command whose record says that it is done.
async fn served(says: Bytes) {
    let bus = bus(says.clone(), false).await;
    let serving = bus.serve(EchoServer::new(Here)).await;
    let serving = serving.expect("it is the only service");
    let echo = EchoClient::new(&bus);
    is_expected(&echo.add(vec![1, 2]).await, &says);
    let said = echo.say("still here".to_owned(), None).await;
    assert_eq!(said.expect("a query has no record"), "still here");
    let drained = serving.shutdown().await;
    drained.expect("all deliveries are settled");
}

async fn progress(says: Bytes) {
    let bus = bus(says, true).await;
    let ticket = EchoClient::new(&bus).copy(3).submit().await;
    let ticket = ticket.expect("there is a queue");
    match ticket.status(&bus).await.unwrap() {
        TicketStatus::Running {
            attempt, progress, ..
        } => {
            assert_eq!(attempt, 7);
            if let Some(progress) = progress {
                assert!(progress.note.len() <= PROGRESS_NOTE_BYTES_MAX);
                let part = progress.fraction();
                assert!(part.is_none_or(|part| (0.0..=1.0).contains(&part)));
            }
        }
        other => panic!("{other:?}"),
    }
}

async fn held(ticket: Ticket<Result<i64, Never>>) {
    let says = Bytes::from_static(b"{\"status\":\"ok\",\"body\":5}");
    let bus = bus(says, false).await;
    let waited = ticket.wait_for(&bus, Duration::from_secs(1)).await;
    assert!(waited.is_err() || waited.is_ok_and(|sum| sum == 5));
    let _ = ticket.status(&bus).await;
    let _ = ticket.cancel(&bus).await;
}

impl fmt::Debug for Forged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forged").finish_non_exhaustive()
    }
}

#[async_trait]
impl ReplyBackend for Forged {
    async fn open(
        mut self: Box<Self>,
        _: &str,
        arrivals: Arc<dyn Arrivals>,
    ) -> Result<Arc<dyn ReplyStore>, SetupError> {
        self.arrivals = Some(arrivals);
        Ok(Arc::from(self as Box<dyn ReplyStore>))
    }
}

#[async_trait]
impl ReplyStore for Forged {
    fn inbox(&self) -> &str {
        "here"
    }

    fn is_inbox(&self, reply_to: &str) -> bool {
        reply_to == "here"
    }

    async fn store(&self, reply: Reply) -> Result<Stored, StoreError> {
        if let Some(arrivals) = &self.arrivals {
            arrivals.arrived(reply.id, reply.frame);
        }
        Ok(Stored::AsAsked)
    }

    async fn fetch(&self, _: CallId) -> Result<Option<Bytes>, StoreError> {
        Ok((!self.is_progress).then(|| self.says.clone()))
    }

    async fn claim(&self, _: &Claim) -> Result<Claimed, StoreError> {
        Ok(Claimed::Done(self.says.clone()))
    }

    async fn renew(&self, _: &Claim) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn release(&self, _: &Claim) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lapse(&self, _: &Claim) -> Result<(), StoreError> {
        Ok(())
    }

    async fn cancel(&self, _: &Cancel) -> Result<Cancelled, StoreError> {
        Ok(Cancelled::Done(self.says.clone()))
    }

    async fn note(&self, _: &Claim, _: Bytes) -> Result<(), StoreError> {
        Ok(())
    }

    async fn record(&self, _: &str) -> Result<Option<CommandRecord>, StoreError> {
        Ok(Some(match self.is_progress {
            true => CommandRecord::Running {
                attempt: 7,
                lease_left: Duration::from_secs(1),
                progress: Some(self.says.clone()),
            },
            false => CommandRecord::Done(self.says.clone()),
        }))
    }

    fn health(&self) -> StoreHealth {
        StoreHealth::Up
    }

    async fn close(&self) {}
}
