//! A record of each call that a service was asked for: a layer around services.

use crate::{
    call_id::CallId,
    contract::{MethodKind, wall_clock},
    error::BoxError,
    server::{Answer, Request, ServerService},
};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

/// A layer that keeps a record of each call of a service: who asked for what, when, and what came of
/// it. Arguments, values and idempotency keys are in none.
///
/// [`new`](Self::new) writes them as log events of the target `replybus::audit`, for a subscriber that
/// takes them where they are to be kept; [`to`](Self::to) gives them to a function. A record is made
/// when the call has ended: of a call that was dropped before, the outcome is `dropped`. A service
/// that is killed keeps no record of what it ran; the run after that is
/// [marked](AuditRecord::redelivered).
///
/// Layers further out may refuse a call, of which this one has no record: put it outermost.
///
/// ```
/// use replybus::{Bus, Never, layer::AuditLayer, queue_handler};
/// use std::sync::mpsc;
///
/// # #[queue_handler("stock.requests")]
/// # pub trait Stock {
/// #     #[query]
/// #     async fn count(&self, article: u32) -> Result<u32, Never>;
/// # }
/// # struct Shelf;
/// # impl Stock for Shelf {
/// #     async fn count(&self, _: u32) -> Result<u32, Never> { Ok(3) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// let (records, kept) = mpsc::channel();
/// let audit = AuditLayer::to(move |record| {
///     let _ = records.send(record.to_string());
/// });
/// let serving = bus.serve(StockServer::new(Shelf)).layer(audit.metadata("user")).await?;
///
/// let stock = StockClient::new(&bus);
/// stock.count(17).metadata("user", "ada").await?;
/// let line = kept.recv()?;
/// assert!(line.contains("Stock.count"), "{line}");
/// assert!(line.contains("user=\"ada\" outcome=ok"), "{line}");
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until a service is given it"]
pub struct AuditLayer {
    metadata: Arc<[&'static str]>,
    queries: bool,
    sink: Arc<dyn Fn(AuditRecord) + Send + Sync>,
}

impl Default for AuditLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl AuditLayer {
    /// Records that are log events, of level info and the target `replybus::audit`.
    pub fn new() -> Self {
        Self::to(|record| {
            tracing::info!(
                target: "replybus::audit",
                service = record.service,
                method = record.method,
                call = record.call_id.map(tracing::field::display),
                caller = record.caller.as_deref(),
                metadata = %Entries(&record.metadata),
                redelivered = record.redelivered,
                outcome = record.outcome,
                took = ?record.took,
                "called"
            );
        })
    }

    /// Records that are given to a function. It is run by the task of the call, so it is not to wait:
    /// what writes to a disk or a database takes them from a channel.
    pub fn to(sink: impl Fn(AuditRecord) + Send + Sync + 'static) -> Self {
        Self {
            metadata: Arc::default(),
            queries: true,
            sink: Arc::new(sink),
        }
    }

    /// Takes an entry of each call's metadata into its record: who asks, or for which tenant. Others
    /// are left out, since some hold what is secret.
    pub fn metadata(mut self, name: &'static str) -> Self {
        self.metadata = self.metadata.iter().copied().chain([name]).collect();
        self
    }

    /// Keeps records of commands only: of what changes something.
    pub fn commands_only(mut self) -> Self {
        self.queries = false;
        self
    }
}

/// What is known of one call when it has ended. Displayed, it is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditRecord {
    /// When the layer was given the call, by the clock of this machine.
    pub at: SystemTime,
    /// The trait that is served.
    pub service: &'static str,
    /// The method that was called.
    pub method: &'static str,
    /// The id of the call.
    pub call_id: Option<CallId>,
    /// The program that calls, as it names itself; nothing proves it.
    pub caller: Option<String>,
    /// The entries of the metadata that were asked for, as far as the call has them.
    pub metadata: Vec<(&'static str, String)>,
    /// True if the call may have been run before.
    pub redelivered: bool,
    /// One word: `ok`, `handler` of a handler's own error, `dropped`, `failed` of a layer further in,
    /// or the [code](crate::error::FaultCode::as_str) of a fault.
    pub outcome: &'static str,
    /// True if the work can have been done, wholly or in part.
    pub may_have_executed: bool,
    /// The time that it took.
    pub took: Duration,
}

impl fmt::Display for AuditRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.method)?;
        if let Some(id) = self.call_id {
            write!(f, " call={id}")?;
        }
        // What a stranger chose can't end the line, or pretend to be another field.
        if let Some(caller) = &self.caller {
            write!(f, " caller={caller:?}")?;
        }
        if !self.metadata.is_empty() {
            write!(f, " {}", Entries(&self.metadata))?;
        }
        if self.redelivered {
            f.write_str(" redelivered")?;
        }
        write!(f, " outcome={} took={:?}", self.outcome, self.took)
    }
}

/// Entries of metadata, as `name="value"`.
struct Entries<'a>(&'a [(&'static str, String)]);

impl fmt::Display for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, value)) in self.0.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(f, "{space}{name}={value:?}")?;
        }
        Ok(())
    }
}

impl Layer<ServerService> for AuditLayer {
    type Service = AuditService;

    fn layer(&self, inner: ServerService) -> AuditService {
        AuditService {
            inner,
            audit: self.clone(),
        }
    }
}

/// A service within an [`AuditLayer`].
#[derive(Debug, Clone)]
pub struct AuditService {
    inner: ServerService,
    audit: AuditLayer,
}

impl Service<Request> for AuditService {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    /// Each call waits for what is further in by itself, so that this is in its record.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let inner = self.inner.clone();
        if request.kind() == MethodKind::Query && !self.audit.queries {
            return Box::pin(inner.oneshot(request));
        }
        let open = self.audit.open(&request);
        Box::pin(async move {
            let answered = inner.oneshot(request).await;
            open.end(&answered);
            answered
        })
    }
}

impl AuditLayer {
    fn open(&self, request: &Request) -> Open {
        let context = request.context();
        let taken = self.metadata.iter().filter_map(|name| {
            let value = context.metadata().get(name)?;
            Some((*name, value.to_owned()))
        });
        Open {
            began: Instant::now(),
            sink: Arc::clone(&self.sink),
            record: Some(AuditRecord {
                at: wall_clock(),
                service: request.service(),
                method: request.method(),
                call_id: context.call_id(),
                caller: context.caller().map(str::to_owned),
                metadata: taken.collect(),
                redelivered: context.redelivered(),
                outcome: "dropped",
                may_have_executed: true,
                took: Duration::ZERO,
            }),
        }
    }
}

/// The record of a call that has not ended. Dropped, it is kept as that of a dropped call.
struct Open {
    began: Instant,
    sink: Arc<dyn Fn(AuditRecord) + Send + Sync>,
    record: Option<AuditRecord>,
}

impl Open {
    fn end(mut self, answered: &Result<Answer, BoxError>) {
        if let Some(record) = &mut self.record {
            (record.outcome, record.may_have_executed) = match answered {
                Ok(answer) => (
                    answer.label(),
                    answer
                        .as_fault()
                        .is_none_or(|fault| fault.may_have_executed),
                ),
                Err(_) => ("failed", true),
            };
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.took = self.began.elapsed();
            (self.sink)(record);
        }
    }
}

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer")
            .field("metadata", &self.metadata)
            .field("queries", &self.queries)
            .finish_non_exhaustive()
    }
}
