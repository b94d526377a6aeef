//! Calls that nobody waits for any more.

use replybus::{
    Bus, CallError, CallId, CancelOutcome, Context, FailureKind, Never, Ticket,
    client::{CallRequest, CallResponse, ClientService},
    error::BoxError,
    limits,
    message::{Message, Properties, Text},
    queue_handler,
    reply::memory::MemoryReplies,
    server::Serving,
    transport::{
        Binding, Deliveries, Outgoing, QueueSpec, Settled, Source, Transport, Verdict,
        memory::MemoryBroker,
    },
};
use replybus_testkit::wait::eventually;
use std::{
    future::{Future, IntoFuture},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinHandle, time::timeout};
use tower::ServiceExt;

const QUEUE: &str = "job.requests";
const CONTROL: &str = "replybus.control";

#[queue_handler("job.requests", timeout = "10s")]
trait Jobs {
    /// Never ends by itself.
    #[query]
    async fn watch(&self) -> Result<(), Never>;

    /// Ends at once.
    #[query]
    async fn look(&self) -> Result<u32, Never>;

    /// Waits for the gate, or until it is cancelled, and says which.
    async fn work(&self) -> Result<String, Never>;

    /// The same, and keeps its own record.
    #[command(own_record)]
    async fn keep(&self) -> Result<String, Never>;
}

#[queue_handler("agent.requests", timeout = "10s")]
trait Agent {
    /// Watches a job.
    #[query]
    async fn watch(&self) -> Result<(), Never>;
}

/// What became of handlers, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn notes(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }

    async fn comes_to(&self, notes: &[&str]) {
        eventually("what is noted", || async { self.notes() == notes }).await;
    }
}

struct NotedDrop(Log);

impl Drop for NotedDrop {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

#[derive(Clone)]
struct Workshop {
    log: Log,
    gate: Arc<Semaphore>,
}

impl Workshop {
    async fn work(&self) -> Result<String, Never> {
        self.log.note("began");
        let context = Context::current();
        let how = tokio::select! {
            _ = self.gate.acquire() => "done",
            () = context.cancelled() => "told",
        };
        self.log.note(how);
        Ok(how.to_owned())
    }
}

impl Jobs for Workshop {
    async fn watch(&self) -> Result<(), Never> {
        let _noted = NotedDrop(self.log.clone());
        self.log.note("began");
        std::future::pending().await
    }

    async fn look(&self) -> Result<u32, Never> {
        Ok(7)
    }

    async fn work(&self) -> Result<String, Never> {
        self.work().await
    }

    async fn keep(&self) -> Result<String, Never> {
        self.work().await
    }
}

struct Watcher(JobsClient);

impl Agent for Watcher {
    async fn watch(&self) -> Result<(), Never> {
        let _ = self.0.watch().await;
        Ok(())
    }
}

/// A service with one permit, its client, and what is said on the control line.
struct Site {
    broker: MemoryBroker,
    bus: Bus,
    jobs: JobsClient,
    workshop: Workshop,
    _serving: Serving,
    control: Box<dyn Deliveries>,
}

impl Site {
    async fn open(concurrency: u16) -> Self {
        let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
        let bus = |replies: &MemoryReplies| Bus::connect(broker.clone(), replies.clone());
        let (serves, calls) = (bus(&replies).await.unwrap(), bus(&replies).await.unwrap());
        let workshop = Workshop {
            log: Log::default(),
            gate: Arc::new(Semaphore::new(0)),
        };
        let serving = serves
            .serve(JobsServer::new(workshop.clone()))
            .concurrency(concurrency);
        let source = Source::new(QueueSpec::new("heard"), 100).bind(Binding::new(CONTROL, QUEUE));
        Self {
            control: broker.connect().consume(source).await.unwrap(),
            jobs: JobsClient::new(&calls),
            bus: calls,
            workshop,
            _serving: serving.await.unwrap(),
            broker,
        }
    }

    fn log(&self) -> &Log {
        &self.workshop.log
    }

    async fn publish(&self, exchange: &'static str, kind: &str, id: CallId, body: Vec<u8>) {
        let message = Message {
            exchange: exchange.into(),
            routing_key: QUEUE.into(),
            properties: Properties {
                correlation_id: Some(id.to_string().into()),
                kind: Some(kind.into()),
                content_type: Some("application/json".into()),
                ..Properties::default()
            },
            body: body.into(),
        };
        let mut receipt = self.broker.connect().publish(Outgoing::new(message));
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    }

    /// The calls that the next message cancels, and the milliseconds that were left of each.
    async fn next_cancelled(&mut self) -> Vec<(CallId, u32)> {
        let delivery = self.control.next().await.unwrap();
        let Message {
            properties, body, ..
        } = &delivery.message;
        assert_eq!(properties.kind.as_deref(), Some("cancel"));
        let entries = body.chunks_exact(20).map(|entry| {
            let (id, left) = entry.split_at(16);
            let id = CallId::from_bytes(id.try_into().unwrap());
            (id, u32::from_be_bytes(left.try_into().unwrap()))
        });
        let entries = entries.collect();
        delivery.settler.settle(Settled::Ack);
        entries
    }

    /// Makes sure that nothing was cancelled: this would have come after it.
    async fn nothing_is_cancelled(&mut self) {
        settle().await;
        self.publish(CONTROL, "cancel", CallId::new(), Vec::new())
            .await;
        assert_eq!(self.next_cancelled().await, []);
    }
}

/// Lets all tasks come to where they wait.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn cancelling(id: CallId) -> Vec<u8> {
    let mut body = id.as_bytes().to_vec();
    body.extend(60_000_u32.to_be_bytes());
    body
}

fn start<F: Future + Send + 'static>(call: F) -> JoinHandle<()>
where
    F::Output: Send,
{
    tokio::spawn(async {
        call.await;
    })
}

/// Starts a call and leaves it when `log` says that it is so far.
async fn leave<F: Future + Send + 'static>(call: F, log: &Log, notes: &[&str])
where
    F::Output: Send,
{
    let called = tokio::spawn(call);
    log.comes_to(notes).await;
    called.abort();
    assert!(called.await.is_err_and(|error| error.is_cancelled()));
}

#[tokio::test(start_paused = true)]
async fn a_query_that_runs_is_dropped() {
    let mut site = Site::open(1).await;
    leave(site.jobs.watch().into_future(), site.log(), &["began"]).await;
    site.log().comes_to(&["began", "dropped"]).await;
    let cancelled = site.next_cancelled().await;
    assert!(matches!(cancelled[..], [(_, 1..=10_000)]), "{cancelled:?}");
    // Its permit is free.
    assert_eq!(site.jobs.look().await.unwrap(), 7);
    site.nothing_is_cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_runs_is_told_and_ends_by_itself() {
    let site = Site::open(1).await;
    leave(site.jobs.work().into_future(), site.log(), &["began"]).await;
    site.log().comes_to(&["began", "told"]).await;
    // What it came to is its outcome.
    let keyed = || site.jobs.work().idempotency_key("key");
    let so_far = ["began", "told", "began"];
    leave(keyed().into_future(), site.log(), &so_far).await;
    let so_far = ["began", "told", "began", "told"];
    site.log().comes_to(&so_far).await;
    assert_eq!(keyed().await.unwrap(), "told");
    assert_eq!(site.log().notes(), so_far);
    leave(
        site.jobs.keep().into_future(),
        site.log(),
        &[&so_far[..], &["began"]].concat(),
    )
    .await;
    site.log()
        .comes_to(&[&so_far[..], &["began", "told"]].concat())
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_started_never_is() {
    let mut site = Site::open(1).await;
    let first = tokio::spawn(site.jobs.work().into_future());
    site.log().comes_to(&["began"]).await;
    let waiting = [
        start(site.jobs.work().into_future()),
        start(site.jobs.keep().into_future()),
        start(site.jobs.watch().into_future()),
    ];
    settle().await;
    for call in &waiting {
        call.abort();
    }
    assert_eq!(
        site.next_cancelled().await.len(),
        3,
        "those that waited, in one message"
    );
    site.workshop.gate.add_permits(10);
    assert_eq!(first.await.unwrap().unwrap(), "done");
    assert_eq!(site.jobs.look().await.unwrap(), 7);
    assert_eq!(site.log().notes(), ["began", "done"]);
}

#[tokio::test(start_paused = true)]
async fn calls_within_are_cancelled_in_turn() {
    let site = Site::open(1).await;
    let agent = site.bus.serve(AgentServer::new(Watcher(site.jobs.clone())));
    let _agent = agent.await.unwrap();
    let call = AgentClient::new(&site.bus).watch().into_future();
    leave(call, site.log(), &["began"]).await;
    site.log().comes_to(&["began", "dropped"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_overtakes_its_request_is_remembered_until_its_deadline() {
    let site = Site::open(1).await;
    // Until then its message may be started.
    let minute = Duration::from_secs(60) + limits::CLOCK_ALLOWANCE;
    for (waits, notes) in [
        (minute - Duration::from_secs(1), &[][..]),
        (minute, &["began"]),
    ] {
        let id = CallId::new();
        site.publish(CONTROL, "cancel", id, cancelling(id)).await;
        settle().await;
        tokio::time::advance(waits).await;
        // Another one sweeps.
        site.publish(CONTROL, "cancel", id, cancelling(CallId::new()))
            .await;
        settle().await;
        site.publish("", "work", id, b"{}".to_vec()).await;
        settle().await;
        assert_eq!(site.log().notes(), notes);
    }
}

#[tokio::test(start_paused = true)]
async fn who_still_waits_is_told() {
    let site = Site::open(1).await;
    let ids = Arc::new(Mutex::new(Vec::new()));
    let jobs = site.jobs.clone().layer(tower::layer::layer_fn({
        let ids = Arc::clone(&ids);
        move |inner: ClientService| {
            let ids = Arc::clone(&ids);
            tower::service_fn(move |request: CallRequest| {
                ids.lock().unwrap().push(request.id());
                inner.clone().oneshot(request)
            })
        }
    }));
    let running = tokio::spawn(jobs.watch().into_future());
    settle().await;
    let waiting = tokio::spawn(jobs.work().into_future());
    settle().await;
    let ids = ids.lock().unwrap().clone();
    for id in ids.into_iter().rev() {
        site.publish(CONTROL, "cancel", id, cancelling(id)).await;
        settle().await;
    }
    let (running, waiting) = (running.await.unwrap(), waiting.await.unwrap());
    for (failure, ran) in [(running.map(drop), true), (waiting.map(drop), false)] {
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind(), Some(FailureKind::Cancelled));
        assert_eq!(failure.may_have_executed(), ran);
    }
    assert_eq!(site.log().notes(), ["began", "dropped"]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_end_are_not_cancelled() {
    let mut site = Site::open(1).await;
    assert_eq!(site.jobs.look().await.unwrap(), 7);
    let brief = site.jobs.watch().timeout(Duration::from_millis(20)).await;
    assert_eq!(brief.unwrap_err().kind(), Some(FailureKind::TimedOut));
    site.jobs.work().send().await.unwrap();
    // Made, and never sent.
    drop(site.jobs.watch());
    drop(site.jobs.watch().into_future());
    site.nothing_is_cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_a_layer_gives_up_and_repeats_cancels_nothing() {
    async fn twice(inner: ClientService, request: CallRequest) -> Result<CallResponse, BoxError> {
        let first = inner.clone().oneshot(request.clone());
        assert!(timeout(Duration::from_millis(100), first).await.is_err());
        inner.oneshot(request).await
    }
    let mut site = Site::open(2).await;
    let layer = tower::layer::layer_fn(|inner: ClientService| {
        tower::service_fn(move |request| twice(inner.clone(), request))
    });
    let jobs = site.jobs.clone().layer(layer);
    let called = tokio::spawn(jobs.work().into_future());
    site.log().comes_to(&["began"]).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    settle().await;
    site.nothing_is_cancelled().await;
    site.workshop.gate.add_permits(1);
    assert_eq!(called.await.unwrap().unwrap(), "done");
    // Its first copy may still have been somewhere.
    assert_eq!(site.next_cancelled().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_that_are_dropped_together_leave_together() {
    const CALLS: usize = 2_500;
    let mut site = Site::open(1).await;
    let calls: Vec<_> = (0..CALLS)
        .map(|_| tokio::spawn(site.jobs.watch().into_future()))
        .collect();
    settle().await;
    for call in &calls {
        call.abort();
    }
    let mut cancelled = Vec::new();
    for _ in 0..3 {
        cancelled.push(site.next_cancelled().await.len());
    }
    assert_eq!(cancelled, [1_000, 1_000, 500]);
    assert_eq!(site.jobs.look().await.unwrap(), 7);
    assert_eq!(site.log().notes(), ["began", "dropped"]);
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_on_the_line_the_service_goes_on() {
    let site = Site::open(1).await;
    let id = CallId::new();
    for (kind, body) in [
        ("cancel", vec![0; 19]),
        ("cancel", vec![0xff; 20]),
        ("cancel", vec![7; 1_000_000]),
        ("drain", Vec::new()),
        ("", b"{}".to_vec()),
    ] {
        site.publish(CONTROL, kind, id, body).await;
    }
    settle().await;
    assert_eq!(site.jobs.look().await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_leaves_no_control_queue() {
    let broker = MemoryBroker::new();
    let bus = Bus::connect(broker.clone(), MemoryReplies::new())
        .await
        .unwrap();
    let workshop = Workshop {
        log: Log::default(),
        gate: Arc::new(Semaphore::new(0)),
    };
    let serving = bus.serve(JobsServer::new(workshop)).await.unwrap();
    let said = || {
        let message = Message {
            exchange: Text::from_static(CONTROL),
            routing_key: Text::from_static(QUEUE),
            ..Message::default()
        };
        broker.connect().publish(Outgoing::new(message))
    };
    assert_eq!(said().verdict().await, Verdict::Confirmed);
    serving.shutdown().await.unwrap();
    eventually("nobody hears it", || async {
        said().verdict().await == Verdict::Unroutable
    })
    .await;
}

fn assert_cancelled<T: std::fmt::Debug>(outcome: Result<T, CallError<Never>>) {
    let failure = outcome.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::Cancelled));
    assert!(!failure.may_have_executed());
}

#[tokio::test(start_paused = true)]
async fn a_handle_tells_what_came_of_it() {
    let site = Site::open(1).await;
    let (mut first, mut second) = (site.jobs.work(), site.jobs.work());
    let handles = [first.cancel_handle(), second.cancel_handle()];
    let first = tokio::spawn(first.into_future());
    site.log().comes_to(&["began"]).await;
    let second = tokio::spawn(second.into_future());
    settle().await;
    for _ in 0..2 {
        let told = handles[1].cancel().await.unwrap();
        assert_eq!(told, CancelOutcome::NeverStarted);
    }
    // While another one runs.
    assert_cancelled(second.await.unwrap());
    assert_eq!(handles[0].cancel().await.unwrap(), CancelOutcome::Running);
    assert_eq!(first.await.unwrap().unwrap(), "told");
    let done = CancelOutcome::Done(Ok("told".to_owned()));
    assert_eq!(handles[0].clone().cancel().await.unwrap(), done);
    assert_eq!(site.log().notes(), ["began", "told"]);
    assert_eq!(site.jobs.look().await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_before_it_is_made_fails_when_it_is() {
    let site = Site::open(1).await;
    let mut call = site.jobs.work();
    let told = call.cancel_handle().cancel().await.unwrap();
    assert_eq!(told, CancelOutcome::NeverStarted);
    assert_cancelled(call.await);
    assert!(site.log().notes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_record_who_has_it_is_told_and_no_more_is_known() {
    let site = Site::open(2).await;
    let (mut watch, mut keep) = (site.jobs.watch(), site.jobs.keep());
    let (watching, keeping) = (watch.cancel_handle(), keep.cancel_handle());
    let watch = tokio::spawn(watch.into_future());
    site.log().comes_to(&["began"]).await;
    assert_eq!(watching.cancel().await.unwrap(), CancelOutcome::Told);
    let failure = watch.await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::Cancelled));
    assert!(failure.may_have_executed());
    let keep = tokio::spawn(keep.into_future());
    site.log().comes_to(&["began", "dropped", "began"]).await;
    assert_eq!(keeping.cancel().await.unwrap(), CancelOutcome::Told);
    assert_eq!(keep.await.unwrap().unwrap(), "told");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_cancels_what_lies_in_the_queue_for_good() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let bus = || Bus::connect(broker.clone(), replies.clone());
    let (caller, worker) = (bus().await.unwrap(), bus().await.unwrap());
    let workshop = Workshop {
        log: Log::default(),
        gate: Arc::new(Semaphore::new(10)),
    };
    let serve = || worker.serve(JobsServer::new(workshop.clone()));
    serve().await.unwrap().shutdown().await.unwrap();
    let jobs = JobsClient::new(&caller);
    let plain = jobs.work().submit().await.unwrap();
    let keyed = jobs
        .work()
        .idempotency_key("a secret")
        .submit()
        .await
        .unwrap();
    assert!(!format!("{keyed:?}").contains("secret"));
    for ticket in [plain, keyed] {
        // From another process.
        let stored = serde_json::to_string(&ticket).unwrap();
        let ticket: Ticket<Result<String, Never>> = serde_json::from_str(&stored).unwrap();
        let told = ticket.cancel(&worker).await.unwrap();
        assert_eq!(told, CancelOutcome::NeverStarted);
        // Whoever waits is told though nobody serves it.
        assert_cancelled(ticket.wait(&caller).await);
    }
    let serving = serve().await.unwrap();
    eventually("the queue is empty", || async {
        let state = caller.inspect(QUEUE).await.unwrap().unwrap();
        state.waiting == 0
    })
    .await;
    // The effect that the key names will not be, either.
    assert_cancelled(jobs.work().idempotency_key("a secret").await);
    assert!(workshop.log.notes().is_empty());
    serving.shutdown().await.unwrap();
    let dead = broker.connect().inspect("job.requests.dead").await;
    assert_eq!(dead.unwrap().unwrap().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_tells_of_what_runs_and_of_what_is_done() {
    let site = Site::open(1).await;
    let ticket = site.jobs.work().submit().await.unwrap();
    site.log().comes_to(&["began"]).await;
    assert_eq!(
        ticket.cancel(&site.bus).await.unwrap(),
        CancelOutcome::Running
    );
    assert_eq!(ticket.wait(&site.bus).await.unwrap(), "told");
    let done = CancelOutcome::Done(Ok("told".to_owned()));
    assert_eq!(ticket.cancel(&site.bus).await.unwrap(), done);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_names_no_queue_waits_and_cancels_nothing() {
    let site = Site::open(1).await;
    let ticket = site.jobs.work().submit().await.unwrap();
    let mut stored: serde_json::Value = serde_json::to_value(&ticket).unwrap();
    for field in ["queue", "recorded"] {
        stored.as_object_mut().unwrap().remove(field).unwrap();
    }
    let old: Ticket<Result<String, Never>> = serde_json::from_value(stored).unwrap();
    let error = old.cancel(&site.bus).await.unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.contains("does not name its queue"), "{reason}");
    site.workshop.gate.add_permits(1);
    assert_eq!(old.wait(&site.bus).await.unwrap(), "done");
}

#[tokio::test]
async fn a_call_that_is_dropped_before_its_bus_is_closed_is_cancelled_all_the_same() {
    let site = Site::open(1).await;
    let watched = site.jobs.watch().timeout(Duration::from_secs(600));
    let mut call = Box::pin(watched.into_future());
    let began = site.log().comes_to(&["began"]);
    tokio::select! {
        _ = &mut call => panic!("it never ends by itself"),
        () = began => {}
    }
    // In one breath, as a program does that is told to end.
    drop(call);
    site.bus.close(Duration::from_secs(5)).await;
    site.log().comes_to(&["began", "dropped"]).await;
}
