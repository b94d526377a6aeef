//! A service that notes by what trace and baggage each of its handlers is reached.

use replybus::{
    Bus, CallId, Context, Event, Never, RetryLater,
    context::{Baggage, TraceContext},
    queue_handler,
    reply::memory::MemoryReplies,
    server::Serving,
    trace::{Span, SpanKind},
    transport::{Transport, memory::MemoryBroker},
};
use replybus_testkit::wait::eventually;
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::mpsc;

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("not yet")]
pub(crate) struct NotYet;

#[queue_handler("hops.requests", timeout = "60s")]
pub(crate) trait Hops {
    #[query]
    async fn look(&self) -> Result<(), Never>;
    async fn note(&self) -> Result<(), Never>;
    /// Calls `note`.
    async fn pass_on(&self) -> Result<(), Never>;
    /// Emits `Noted`.
    async fn tell(&self) -> Result<(), Never>;
    /// Is put off once, and waits on the broker.
    #[command(retry(max = 3, base = "2s", max_delay = "2s"))]
    async fn later(&self) -> Result<(), NotYet>;
    /// Is put off once, and waits in its place.
    #[command(retry(max = 3, base = "100ms"))]
    async fn soon(&self) -> Result<(), NotYet>;
    /// Panics until it is mended.
    async fn breaks(&self) -> Result<(), Never>;
}

#[derive(Event, Serialize, Deserialize)]
#[event("hops.noted")]
pub(crate) struct Noted;

/// How a handler was reached.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    pub(crate) of: &'static str,
    pub(crate) id: CallId,
    pub(crate) attempt: u32,
    pub(crate) trace: TraceContext,
    pub(crate) origin: Option<String>,
}

/// Where hops are noted.
#[derive(Clone)]
pub(crate) struct Notes(mpsc::UnboundedSender<Hop>);

impl Notes {
    fn note(&self, of: &'static str) -> u32 {
        let context = Context::current();
        let attempt = context.attempt();
        tracing::info!(of, attempt, "reached");
        let hop = Hop {
            of,
            id: context.call_id().unwrap(),
            attempt,
            trace: context.trace().unwrap().clone(),
            origin: context.baggage().get("origin").map(Into::into),
        };
        let _ = self.0.send(hop);
        attempt
    }
}

pub(crate) struct Walker {
    notes: Notes,
    bus: Bus,
    is_mended: Arc<AtomicBool>,
}

impl Hops for Walker {
    async fn look(&self) -> Result<(), Never> {
        self.notes.note("look");
        Ok(())
    }

    async fn note(&self) -> Result<(), Never> {
        self.notes.note("note");
        Ok(())
    }

    async fn pass_on(&self) -> Result<(), Never> {
        self.notes.note("pass_on");
        HopsClient::new(&self.bus).note().await.unwrap();
        Ok(())
    }

    async fn tell(&self) -> Result<(), Never> {
        self.notes.note("tell");
        self.bus.emit(&Noted).await.unwrap();
        Ok(())
    }

    async fn later(&self) -> Result<(), NotYet> {
        // What is marked in a context within is marked in the run.
        let context = Context::current();
        let baggage = context.baggage().clone();
        let trying = async {
            match self.notes.note("later") {
                1 => Err(NotYet).retry_later(),
                _ => Ok(()),
            }
        };
        context.with_baggage(baggage).scope(trying).await
    }

    async fn soon(&self) -> Result<(), NotYet> {
        let span = Span::begin(SpanKind::Internal, "try");
        let trying = async {
            match self.notes.note("soon") {
                1 => Err(NotYet).retry_later(),
                _ => Ok(()),
            }
        };
        span.within(trying).await
    }

    async fn breaks(&self) -> Result<(), Never> {
        self.notes.note("breaks");
        assert!(self.is_mended.load(Ordering::SeqCst), "it is broken");
        Ok(())
    }
}

/// A bus with the service and a subscription on it.
pub(crate) struct Way {
    pub(crate) bus: Bus,
    pub(crate) client: HopsClient,
    is_mended: Arc<AtomicBool>,
    servings: [Serving; 2],
    pub(crate) transport: Arc<dyn Transport>,
    hops: mpsc::UnboundedReceiver<Hop>,
}

impl Way {
    pub(crate) async fn begin() -> Self {
        Self::over(Arc::new(MemoryBroker::new().connect())).await
    }

    pub(crate) async fn over(transport: Arc<dyn Transport>) -> Self {
        let bus = Bus::builder()
            .connect(Arc::clone(&transport), MemoryReplies::new())
            .await
            .unwrap();
        let (sender, hops) = mpsc::unbounded_channel();
        let notes = Notes(sender);
        let is_mended = Arc::new(AtomicBool::new(false));
        let walker = Walker {
            notes: notes.clone(),
            bus: bus.clone(),
            is_mended: Arc::clone(&is_mended),
        };
        let serving = bus.serve(HopsServer::new(walker)).await.unwrap();
        let heard = bus.subscribe("hearers", move |_: Noted| {
            let notes = notes.clone();
            async move {
                notes.note("event");
            }
        });
        Self {
            servings: [serving, heard.await.unwrap()],
            client: HopsClient::new(&bus),
            bus,
            transport,
            is_mended,
            hops,
        }
    }

    /// The next handler that is reached.
    pub(crate) async fn next(&mut self) -> Hop {
        let next = tokio::time::timeout(std::time::Duration::from_secs(7_200), self.hops.recv());
        next.await.unwrap().unwrap()
    }

    /// Stops it, when all that was begun has ended.
    pub(crate) async fn end(self) {
        for serving in self.servings {
            serving.shutdown().await.unwrap();
        }
    }

    /// Waits until so many messages of the service are kept as dead letters.
    pub(crate) async fn kept(&self, letters: u64) {
        eventually("the letter is kept", || async {
            let queue = self.transport.inspect("hops.requests.dead").await.unwrap();
            queue.unwrap().waiting == letters
        })
        .await;
    }

    /// Puts back what is kept, to a service that is mended.
    pub(crate) async fn put_back(&self) {
        self.is_mended.store(true, Ordering::SeqCst);
        let put_back = self.bus.dead_letters("hops.requests").redrive(|_| true);
        assert_eq!(put_back.await.unwrap().redriven, 1);
    }
}

pub(crate) const PARENT: &str = "00f067aa0ba902b7";

/// The context that another program gave us, in this trace, which is sampled or not.
pub(crate) fn given_in(trace: &str, is_sampled: bool) -> Context {
    let header = format!("00-{trace}-{PARENT}-0{}", u8::from(is_sampled));
    let trace = TraceContext::parse(&header, Some("vendor=x")).unwrap();
    let baggage = Baggage::parse("origin=another%20program,other=1").unwrap();
    Context::builder().trace(trace).baggage(baggage).build()
}
