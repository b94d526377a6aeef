//! Jobs, between workers in another language and ours: begun by the ones, and done by the others.

use super::{
    brought::{self, Runner},
    desk::{Place, with_letters},
    faults::Cuts,
    foreign::Worker,
};
use replybus::{
    Amqp, Bus, CallError, CallId, CancelOutcome, Context, Ticket, TicketStatus,
    message::{Message, Properties},
    queue_handler,
    transport::{Outgoing, Transport, Verdict},
};
use replybus_redis::RedisReplies;
use replybus_testkit::wait::{bounded, until};
use std::{fs, future::IntoFuture as _, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::time::sleep;

const QUEUE: &str = "yard.requests";

#[queue_handler("yard.requests")]
trait Yard {
    /// Goes on until it is told, by a file, what it comes to.
    #[command(job = "1h")]
    async fn haul(&self, load: String) -> Result<String, String>;
}

/// Where it is told to, by the name of the load.
struct OurYard(PathBuf);

impl Yard for OurYard {
    async fn haul(&self, load: String) -> Result<String, String> {
        let context = Context::current();
        context.progress(
            u64::from(context.attempt()),
            10,
            format!("rust hauls {load}"),
        );
        loop {
            match fs::read_to_string(self.0.join(&load)) {
                Ok(word) if word == "fails" => return Err("it broke".to_owned()),
                Ok(_) => return Ok(format!("rust {}", context.attempt())),
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// A yard, and who hauls there.
struct Hauled {
    place: Place,
    folder: TempDir,
    runner: Runner,
    transport: Arc<dyn Transport>,
}

type Hauling = Ticket<Result<String, String>>;

impl Hauled {
    async fn open(name: &str, runner: &Runner) -> Option<Self> {
        let place = Place::open(name).await?;
        Some(Self {
            transport: Amqp::new(&place.servers[0]).connect().await.unwrap(),
            place,
            folder: tempfile::tempdir().unwrap(),
            runner: runner.clone(),
        })
    }

    async fn theirs(&self) -> Worker {
        let mut command = self.runner.program("yard_worker", &self.place.servers);
        command.env("YARD", self.folder.path());
        Worker::start(command).await
    }

    async fn ours(&self, bus: &Bus) -> replybus::server::Serving {
        let yard = OurYard(self.folder.path().to_owned());
        bus.serve(YardServer::new(yard)).await.unwrap()
    }

    fn client(&self) -> YardClient {
        YardClient::new(&self.place.bus)
    }

    async fn submit(&self, load: &str) -> Hauling {
        self.client().haul(load.to_owned()).submit().await.unwrap()
    }

    /// Has a job come to its end.
    fn tell(&self, load: &str, word: &str) {
        let told = self.folder.path().join("told");
        fs::write(&told, word).unwrap();
        fs::rename(told, self.folder.path().join(load)).unwrap();
    }

    /// Waits until a job is run so often, and says who does that.
    async fn is_hauled(&self, ticket: &Hauling, run: u32) -> String {
        until("it says how far it is", async || {
            match ticket.status(&self.place.bus).await.unwrap() {
                TicketStatus::Running {
                    attempt,
                    progress: Some(progress),
                    ..
                } if attempt == run => {
                    assert_eq!((progress.done, progress.total), (run.into(), Some(10)));
                    Ok(progress.note)
                }
                status => Err(status),
            }
        })
        .await
    }

    /// Waits until the broker has messages that wait, so many of them.
    async fn are_waiting(&self, count: u64) {
        until("their messages wait", async || {
            let (mut waiting, mut states) = (0, Vec::new());
            // 10 s, less what it takes to make the way for them.
            for seconds in [1, 2, 4, 8] {
                let queue = format!("{}.replybus.delay.{seconds}s", self.place.servers[2]);
                // There is none before the first message.
                let state = self.transport.inspect(&queue).await;
                if let Ok(Some(queue)) = &state {
                    waiting += queue.waiting;
                }
                states.push(state);
            }
            (waiting == count).then_some(()).ok_or(states)
        })
        .await;
    }

    /// The reasons of the dead letters.
    async fn letters(&self) -> Vec<String> {
        let letters = self
            .place
            .bus
            .dead_letters(QUEUE)
            .list(0..10)
            .await
            .unwrap();
        let letters = letters.letters.iter();
        letters.map(|letter| letter.reason().to_owned()).collect()
    }

    async fn one_letter_is(&self, reason: &str) {
        let kept = until("it is kept", async || match self.letters().await {
            letters if letters.is_empty() => Err(letters),
            letters => Ok(letters),
        });
        assert_eq!(kept.await, [reason]);
    }

    async fn close(self) {
        let namespace = &self.place.servers[2];
        let delays = (0..25).map(|level| format!("{}s", 1_u64 << level));
        let delays = delays.chain(["lost".to_owned(), format!("due.{namespace}.{QUEUE}")]);
        let delays = delays.map(|of| format!("replybus.delay.{of}"));
        let queues: Vec<_> = with_letters(QUEUE).into_iter().chain(delays).collect();
        self.transport.close(Duration::from_secs(5)).await;
        self.place.close_with(queues).await;
    }
}

/// A worker in another language runs jobs for as long as it lives, and ours goes on.
async fn is_taken_over_by_ours(hauled: Hauled, language: &str) {
    let place = &hauled.place;
    let theirs = hauled.theirs().await;
    let kept = hauled.submit("kept").await;
    let awaited = tokio::spawn(hauled.client().haul("awaited".to_owned()).into_future());
    hauled
        .client()
        .haul("broken".to_owned())
        .send()
        .await
        .unwrap();
    assert_eq!(
        hauled.is_hauled(&kept, 1).await,
        format!("{language} hauls kept")
    );
    until("it tells of them", async || {
        let told = place.bus.control(QUEUE).jobs().await.unwrap();
        let jobs: Vec<_> = told.iter().flat_map(|of| &of.jobs).collect();
        let all = jobs.len() == 3 && jobs.iter().all(|job| job.progress.is_some());
        all.then_some(()).ok_or(told)
    })
    .await;
    hauled.are_waiting(3).await;
    hauled.tell("broken", "fails");
    // Its message says so when it comes back, as those of the others are kept once more.
    hauled.one_letter_is("handler").await;
    hauled.are_waiting(2).await;
    theirs.kill().await;
    let ours = hauled.ours(&place.bus).await;
    assert_eq!(hauled.is_hauled(&kept, 2).await, "rust hauls kept");
    hauled.tell("kept", "");
    hauled.tell("awaited", "");
    assert_eq!(bounded(kept.wait(&place.bus)).await.unwrap(), "rust 2");
    assert_eq!(bounded(awaited).await.unwrap().unwrap(), "rust 2");
    // The worker may have been killed before it acknowledged what it had put down: then ours did too.
    let mut letters = hauled.letters().await;
    letters.dedup();
    assert_eq!(letters, ["handler"]);
    ours.shutdown().await.unwrap();
    hauled.close().await;
}

/// Ours is cut off, and a worker in another language goes on, hears a cancel, and leaves what it has
/// to the next.
async fn is_taken_over_by_theirs(hauled: Hauled, language: &str) {
    let place = &hauled.place;
    let cuts = Cuts::before(place).await;
    let [amqp, redis, namespace] = &cuts.servers;
    let cut_off = Bus::builder().namespace(namespace);
    let cut_off = cut_off
        .connect(Amqp::new(amqp), RedisReplies::new(redis))
        .await
        .unwrap();
    let ours = hauled.ours(&cut_off).await;
    let kept = hauled.submit("kept").await;
    assert_eq!(hauled.is_hauled(&kept, 1).await, "rust hauls kept");
    hauled.are_waiting(1).await;
    cuts.off();
    let theirs = hauled.theirs().await;
    let cancelled = hauled.submit("cancelled").await;
    hauled.is_hauled(&cancelled, 1).await;
    let told = cancelled.cancel(&place.bus).await.unwrap();
    assert!(matches!(told, CancelOutcome::Running), "{told:?}");
    assert_eq!(bounded(cancelled.wait(&place.bus)).await.unwrap(), "told");
    assert_eq!(
        hauled.is_hauled(&kept, 2).await,
        format!("{language} hauls kept")
    );
    hauled.tell("kept", "");
    let done = bounded(kept.wait(&place.bus)).await.unwrap();
    assert_eq!(done, format!("{language} 2"));
    let broken = hauled.submit("broken").await;
    hauled.tell("broken", "fails");
    let failed = bounded(broken.wait(&place.bus)).await.unwrap_err();
    assert!(
        matches!(failed, CallError::Handler(ref why) if why == "it broke"),
        "{failed:?}"
    );
    let left = hauled.submit("left").await;
    hauled.is_hauled(&left, 1).await;
    let next = hauled.ours(&place.bus).await;
    assert_eq!(theirs.stop().await, "all was as it should be\n");
    assert_eq!(hauled.is_hauled(&left, 2).await, "rust hauls left");
    hauled.tell("left", "");
    assert_eq!(bounded(left.wait(&place.bus)).await.unwrap(), "rust 2");
    assert!(hauled.letters().await.is_empty());
    next.shutdown().await.unwrap();
    drop(ours);
    cut_off.close(Duration::ZERO).await;
    hauled.close().await;
}

/// Messages of jobs that were started, of which there is no record: it may come back, or it does not.
async fn is_missed(hauled: Hauled) {
    let [_, _, namespace] = &hauled.place.servers;
    let theirs = hauled.theirs().await;
    let [back, gone] = [CallId::new(), CallId::new()].map(|id| id.to_string());
    let mut link = hauled.place.redis().await;
    let mut record = redis::cmd("HSET");
    record.arg(format!("replybus:{namespace}.claim:{QUEUE}:haul:id:{back}"));
    record.arg(&[
        "state",
        "done",
        "frame",
        r#"{"status":"ok","body":"rust 1"}"#,
    ]);
    let () = record.query_async(&mut link).await.unwrap();
    // The one was missed once, and its record is there again.
    for (id, missed) in [(&back, true), (&gone, false)] {
        let message = started(&format!("{namespace}.{QUEUE}"), id, missed);
        let verdict = hauled
            .transport
            .publish(Outgoing::new(message))
            .verdict()
            .await;
        assert!(matches!(verdict, Verdict::Confirmed), "{verdict:?}");
    }
    hauled.one_letter_is("interrupted").await;
    for (id, expected) in [(&back, "rust 1"), (&gone, "interrupted")] {
        let mut reply = redis::cmd("GET");
        reply.arg(format!("{namespace}.response:{id}"));
        let reply = until("it is answered", async || {
            let reply: Option<String> = reply.query_async(&mut link.clone()).await.unwrap();
            reply.ok_or(())
        });
        let reply = reply.await;
        assert!(reply.contains(expected), "{reply}");
    }
    assert_eq!(hauled.letters().await, ["interrupted"]);
    assert_eq!(theirs.stop().await, "all was as it should be\n");
    hauled.close().await;
}

/// The message of a submitted job as it comes back, in JSON.
fn started(queue: &str, id: &str, missed: bool) -> Message {
    let headers = ["repeated", "x-replybus-job-started"].into_iter();
    let headers = headers.chain(missed.then_some("x-replybus-job-missed"));
    Message {
        routing_key: queue.into(),
        properties: Properties {
            message_id: Some(id.into()),
            correlation_id: Some(id.into()),
            kind: Some("haul".into()),
            content_type: Some("application/json".into()),
            persistent: true,
            headers: headers.map(|name| (name.into(), "true".into())).collect(),
            ..Properties::default()
        },
        body: br#"{"load":"forged"}"#.to_vec().into(),
        ..Message::default()
    }
}

/// One after the other: each has the broker make 25 queues for what waits, and files are few there.
async fn share(runner: Runner, language: &str) {
    let Some(ours) = Hauled::open("yard-ours", &runner).await else {
        return;
    };
    is_taken_over_by_ours(ours, language).await;
    let theirs = Hauled::open("yard-theirs", &runner).await.unwrap();
    is_taken_over_by_theirs(theirs, language).await;
    let missed = Hauled::open("yard-missed", &runner).await.unwrap();
    is_missed(missed).await;
}

#[tokio::test]
async fn workers_in_python_share_jobs_with_ours() {
    if let Some(python) = brought::python().await {
        share(python, "python").await;
    }
}

#[tokio::test]
async fn workers_in_typescript_share_jobs_with_ours() {
    if let Some(node) = brought::node().await {
        share(node, "typescript").await;
    }
}
