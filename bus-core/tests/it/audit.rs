//! Records of what a service was asked for.

use crate::logged::Lines;
use replybus::{
    Bus, Never,
    error::FaultCode,
    layer::{AuditLayer, AuditRecord, from_fn},
    queue_handler,
    server::{Answer, Request, ServerService},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tower::timeout::TimeoutLayer;
use tracing::Level;

#[queue_handler("vault.requests", timeout = "1s")]
trait Vault {
    #[query]
    async fn look(&self, secret: String) -> Result<u32, String>;

    async fn open(&self, secret: String) -> Result<u32, Never>;
}

struct Steel;

impl Vault for Steel {
    async fn look(&self, secret: String) -> Result<u32, String> {
        match &*secret {
            "hang" => std::future::pending().await,
            "wrong" => Err("no such secret".to_owned()),
            _ => Ok(1),
        }
    }

    async fn open(&self, secret: String) -> Result<u32, Never> {
        assert_ne!(secret, "panic", "on purpose");
        Ok(2)
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<AuditRecord>>>);

impl Kept {
    fn layer(&self) -> AuditLayer {
        let kept = Arc::clone(&self.0);
        AuditLayer::to(move |record| kept.lock().unwrap().push(record))
    }

    fn take(&self) -> Vec<AuditRecord> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn denied(
    request: Request,
    next: replybus::layer::Next<ServerService>,
) -> Result<Answer, replybus::error::BoxError> {
    if request.context().metadata().get("user") == Some("mallory") {
        return Ok(Answer::fault(FaultCode::Denied, "not you"));
    }
    next.run(request).await
}

#[tokio::test(start_paused = true)]
async fn every_way_a_call_ends_is_in_a_record() {
    let bus = Bus::in_memory();
    let kept = Kept::default();
    let _serving = bus
        .serve(VaultServer::new(Steel))
        .layer(TimeoutLayer::new(Duration::from_millis(200)))
        .layer(from_fn(denied))
        .layer(kept.layer().metadata("user").metadata("tenant"))
        .await
        .unwrap();
    let vault = VaultClient::new(&bus);
    let ask = |secret: &str, user: &str| {
        let call = vault.look(secret.to_owned());
        call.metadata("user", user).metadata("password", "hunter2")
    };
    ask("right", "ada").await.unwrap();
    ask("wrong", "ada").await.unwrap_err();
    ask("right", "mallory").await.unwrap_err();
    ask("hang", "ada").await.unwrap_err();
    let ticket = vault.open("right".to_owned()).submit().await.unwrap();
    ticket.wait(&bus).await.unwrap();
    vault.open("panic".to_owned()).await.unwrap_err();

    let records = kept.take();
    let ended: Vec<_> = records
        .iter()
        .map(|record| (record.method, record.outcome, record.may_have_executed))
        .collect();
    assert_eq!(
        ended,
        [
            ("look", "ok", true),
            ("look", "handler", true),
            ("look", "denied", false),
            ("look", "failed", true),
            ("open", "ok", true),
            ("open", "panicked", true),
        ]
    );
    assert_eq!(records[4].call_id, Some(ticket.call_id()));
    assert_eq!(records[0].metadata, [("user", "ada".to_owned())]);
    assert_eq!(records[4].metadata, []);
    assert_eq!(records[3].took, Duration::from_millis(200));
    for record in &records {
        let line = format!("{record} {record:?}");
        assert!(!line.contains("hunter2"), "{line}");
        assert!(!line.contains("right"), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_a_record_and_queries_can_be_left_out() {
    let bus = Bus::in_memory();
    let kept = Kept::default();
    let served = bus.serve(VaultServer::new(Steel));
    // What is further out gives up on the query, and with it on its record.
    let _serving = served
        .layer(kept.layer())
        .layer(TimeoutLayer::new(Duration::from_millis(200)))
        .await
        .unwrap();
    let vault = VaultClient::new(&bus);
    vault.look("hang".to_owned()).await.unwrap_err();
    let [record] = &kept.take()[..] else {
        panic!("not one record");
    };
    assert_eq!(
        (record.outcome, record.may_have_executed),
        ("dropped", true)
    );

    let other = Bus::in_memory();
    let served = other.serve(VaultServer::new(Steel));
    let _serving = served.layer(kept.layer().commands_only()).await.unwrap();
    let vault = VaultClient::new(&other);
    vault.look("right".to_owned()).await.unwrap();
    vault.open("right".to_owned()).await.unwrap();
    let methods: Vec<_> = kept.take().iter().map(|record| record.method).collect();
    assert_eq!(methods, ["open"]);
}

#[tokio::test]
async fn a_log_line_can_t_be_forged_by_what_a_caller_says() {
    let lines = Lines::at(Level::INFO);
    let _logging = tracing::subscriber::set_default(lines.clone());
    let bus = Bus::in_memory();
    let served = bus.serve(VaultServer::new(Steel));
    let audit = AuditLayer::new().metadata("user");
    let _serving = served.layer(audit).await.unwrap();
    lines.taken();
    let forged = "ada\" outcome=ok user=\"root";
    let vault = VaultClient::new(&bus);
    let call = vault.look("wrong".to_owned()).metadata("user", forged);
    let error = call.await.unwrap_err().into_handler().unwrap();
    assert_eq!(error, "no such secret");
    let called = |line: &String| line.contains("message=called");
    let lines: Vec<_> = lines.taken().into_iter().filter(called).collect();
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(line.contains("outcome=\"handler\""), "{line}");
    assert!(line.contains(&format!("user={forged:?}")), "{line}");
}
