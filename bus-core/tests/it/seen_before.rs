//! Messages that may have been delivered before: nothing is said of them that only the first
//! delivery could know.

use crate::{
    bad_input::{Nobody, request},
    bank::{AccountsServer, Ledger},
    dead_letters::kept,
};
use replybus::{
    Bus, CallId,
    error::{BoxError, Fault, FaultCode},
    limits,
    message::{Message, Properties},
    reply::{Claim, Claimed, ReplyBackend, ReplyStore, memory::MemoryReplies},
    server::{Answer, Request, ServerService},
    transport::{Outgoing, QueueSpec, Source, Transport, Verdict, memory::MemoryBroker},
    wire::ReplyFrame,
};
use sha2::{Digest, Sha256};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::sleep;
use tower::layer::layer_fn;

const QUEUE: &str = "account.requests";
const BODY: &str = r#"{"amount":1}"#;

/// How a service is told that it may not be the first to see a message.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// By the broker.
    Redelivered,
    /// By the caller.
    Repeated,
    /// By nobody: it had the message before the broker gave it to another, and has not noticed.
    Unmarked,
}

const BOTH: [Seen; 2] = [Seen::Redelivered, Seen::Repeated];

struct Site {
    bus: Bus,
    transport: Arc<dyn Transport>,
    store: Arc<dyn ReplyStore>,
    ledger: Ledger,
}

impl Site {
    async fn new() -> Self {
        let transport: Arc<dyn Transport> = Arc::new(MemoryBroker::new().connect());
        let replies = MemoryReplies::new();
        let builder = Bus::builder();
        let bus = builder.connect(Arc::clone(&transport), replies.clone());
        let store = Box::new(replies).open("", Arc::new(Nobody));
        Self {
            bus: bus.await.unwrap(),
            transport,
            store: store.await.unwrap(),
            ledger: Ledger::new(),
        }
    }

    /// Puts a message where the service finds it.
    async fn publish(&self, seen: Seen, mut properties: Properties, body: &'static str) {
        let source = Source::new(QueueSpec::new(QUEUE), 1);
        let mut first = self.transport.consume(source).await.unwrap();
        if !matches!(seen, Seen::Redelivered) {
            first.stop().await;
        }
        if let Seen::Repeated = seen {
            let header = ("repeated".into(), "true".into());
            properties.headers.push(header);
        }
        properties.persistent = true;
        let message = Message {
            routing_key: QUEUE.into(),
            properties,
            body: body.into(),
            ..Message::default()
        };
        let mut receipt = self.transport.publish(Outgoing::new(message));
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
        if let Seen::Redelivered = seen {
            // Taken by a worker that is gone before it has settled it.
            drop(first.next().await.unwrap());
        }
    }

    /// Serves until the call is answered, and says how many messages were kept as dead letters.
    async fn answer(&self, id: CallId) -> (Fault, u64) {
        self.answer_through(id, |service| service).await
    }

    async fn answer_through<S>(
        &self,
        id: CallId,
        layer: impl Fn(ServerService) -> S + Send + Sync + 'static,
    ) -> (Fault, u64)
    where
        S: tower::Service<Request, Response = Answer, Error = BoxError> + Clone,
        S: Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let service = self.bus.serve(AccountsServer::new(self.ledger.clone()));
        let serving = service.layer(layer_fn(layer)).await.unwrap();
        let frame = loop {
            if let Some(frame) = self.store.fetch(id).await.unwrap() {
                break frame;
            }
            sleep(Duration::from_millis(1)).await;
        };
        serving.shutdown().await.unwrap();
        match ReplyFrame::decode(&frame).unwrap().1 {
            ReplyFrame::Fault(fault) => (fault, kept(&self.transport, QUEUE).await),
            other => panic!("{other:?}"),
        }
    }

    /// Takes the claim of a call in the name of another worker.
    async fn claim(&self, id: CallId) {
        let claimed = self.store.claim(&claim(id, "another")).await.unwrap();
        assert_eq!(claimed, Claimed::Run { attempt: 1 });
    }

    /// Takes it, and lets it lapse while a third asks for it.
    async fn claim_and_die(&self, id: CallId) {
        self.claim(id).await;
        for _ in 0..2 {
            let asked = self.store.claim(&claim(id, "a third")).await.unwrap();
            assert_eq!(asked, Claimed::Running);
            sleep(limits::CLAIM_LEASE / 2).await;
        }
    }
}

fn claim(id: CallId, owner: &str) -> Claim {
    let mut hash = Sha256::new();
    hash.update("application/json\0");
    hash.update(BODY);
    let fingerprint = *hash.finalize().first_chunk().unwrap();
    Claim::new(format!("{QUEUE}:post:id:{id}"), fingerprint, owner)
}

/// A request whose time has passed.
fn late(id: CallId, method: &str) -> Properties {
    late_by(Duration::from_secs(2), id, method)
}

/// A request whose time passed before all that was known of it was forgotten.
fn long_late(id: CallId, method: &str) -> Properties {
    late_by(limits::DEADLINE_RETENTION, id, method)
}

fn late_by(late: Duration, id: CallId, method: &str) -> Properties {
    let deadline = (SystemTime::now() - late).duration_since(UNIX_EPOCH);
    let deadline = deadline.unwrap().as_millis().to_string();
    Properties {
        headers: [("deadline".into(), deadline.into())].into(),
        ..request(id, method)
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_say_that_nothing_ran() {
    for seen in BOTH {
        for (properties, code) in [
            (request as fn(_, _) -> _, FaultCode::UnknownMethod),
            (late, FaultCode::Expired),
        ] {
            let (site, id) = (Site::new().await, CallId::new());
            let method = match code {
                FaultCode::Expired => "balance",
                _ => "steal",
            };
            site.publish(seen, properties(id, method), "{}").await;
            let (fault, kept) = site.answer(id).await;
            assert_eq!((fault.code, fault.may_have_executed), (code, true));
            assert_eq!(kept, 1, "{seen:?} {code:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nor_does_that_of_a_layer() {
    for seen in BOTH {
        let (site, id) = (Site::new().await, CallId::new());
        site.publish(seen, request(id, "post"), BODY).await;
        let deny = |_| {
            tower::service_fn(|_: Request| async {
                Ok::<_, BoxError>(Answer::fault(FaultCode::Denied, "not yours"))
            })
        };
        let (fault, kept) = site.answer_through(id, deny).await;
        assert_eq!(fault.code, FaultCode::Denied);
        assert!(fault.may_have_executed);
        assert_eq!(kept, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_shows_that_nothing_ran_is_believed() {
    for seen in BOTH {
        for (properties, body, code) in [
            (request as fn(_, _) -> _, "{}", FaultCode::BadRequest),
            (late, BODY, FaultCode::Expired),
        ] {
            let (site, id) = (Site::new().await, CallId::new());
            site.publish(seen, properties(id, "post"), body).await;
            let (fault, kept) = site.answer(id).await;
            assert_eq!((fault.code, fault.may_have_executed), (code, false));
            assert_eq!((kept, site.ledger.runs()), (0, 0), "{seen:?} {code:?}");
            // Whoever takes the claim now is the first.
            site.claim(id).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_worker_may_still_run_it_is_not_dropped_as_expired() {
    for seen in BOTH {
        let (site, id) = (Site::new().await, CallId::new());
        site.claim(id).await;
        site.publish(seen, late(id, "post"), BODY).await;
        let (fault, kept) = site.answer(id).await;
        assert_eq!(fault.code, FaultCode::TimedOut);
        assert_eq!((kept, site.ledger.runs()), (1, 0), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_that_looks_new_and_whose_reply_is_looked_for_later() {
    let (site, id) = (Site::new().await, CallId::new());
    site.claim(id).await;
    site.publish(Seen::Unmarked, late(id, "post"), BODY).await;
    let (fault, kept) = site.answer(id).await;
    assert_eq!(
        (fault.code, fault.may_have_executed),
        (FaultCode::TimedOut, true)
    );
    // The other run answers for it.
    assert_eq!((kept, site.ledger.runs()), (0, 0));

    let (site, id) = (Site::new().await, CallId::new());
    site.publish(Seen::Unmarked, late(id, "post"), BODY).await;
    let (fault, kept) = site.answer(id).await;
    assert_eq!(
        (fault.code, fault.may_have_executed),
        (FaultCode::Expired, false)
    );
    assert_eq!((kept, site.ledger.runs()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_that_never_ended() {
    for seen in BOTH {
        let (site, id) = (Site::new().await, CallId::new());
        site.claim_and_die(id).await;
        site.publish(seen, late(id, "post"), BODY).await;
        let (fault, kept) = site.answer(id).await;
        assert_eq!(fault.code, FaultCode::WorkerLost);
        assert_eq!((kept, site.ledger.runs()), (1, 0), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_was_forgotten_nothing_is_run_and_nothing_is_ruled_out() {
    for seen in BOTH {
        let (site, id) = (Site::new().await, CallId::new());
        site.publish(seen, long_late(id, "post"), BODY).await;
        let (fault, kept) = site.answer(id).await;
        assert_eq!(
            (fault.code, fault.may_have_executed),
            (FaultCode::Expired, true)
        );
        assert_eq!((kept, site.ledger.runs()), (1, 0), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_still_known_is_told_however_late_it_is() {
    for seen in BOTH {
        let (site, id) = (Site::new().await, CallId::new());
        site.claim_and_die(id).await;
        site.publish(seen, long_late(id, "post"), BODY).await;
        let (fault, kept) = site.answer(id).await;
        assert_eq!(fault.code, FaultCode::WorkerLost);
        assert_eq!((kept, site.ledger.runs()), (1, 0), "{seen:?}");
    }
}
