//! A caller and a service that by mistake have different databases of one Redis. All else works, and
//! the caller can't know why no reply comes.

use replybus::{Amqp, Bus, CallError, Context, FailureKind, Never, queue_handler};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    leftovers::Leftovers,
    live::{rabbitmq, redis, unique},
    wait::until,
};
use std::{
    collections::HashMap,
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};
use tracing_subscriber::util::SubscriberInitExt as _;

#[queue_handler("requests")]
trait Echo {
    #[query]
    async fn ask(&self, text: String) -> Result<String, Never>;
    async fn tell(&self, text: String) -> Result<String, Never>;
}

/// Runs by idempotency key.
#[derive(Default)]
struct There(Mutex<HashMap<String, u32>>);

impl Echo for There {
    async fn ask(&self, text: String) -> Result<String, Never> {
        Ok(text)
    }

    async fn tell(&self, text: String) -> Result<String, Never> {
        if let Some(key) = Context::current().idempotency_key() {
            *self.0.lock().unwrap().entry(key.to_owned()).or_default() += 1;
        }
        Ok(text)
    }
}

/// What was logged. Clones share it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// The same server, another database.
fn another_database(url: &str) -> String {
    let (server, database) = match url.rsplit_once('/') {
        Some((server, database)) if !server.ends_with('/') => (server, database),
        _ => (url, ""),
    };
    let other = if database == "9" { 8 } else { 9 };
    format!("{server}/{other}")
}

#[tokio::test]
async fn a_caller_whose_redis_is_another_times_out_and_the_service_says_why() {
    let (Some(amqp), Some(redis)) = (rabbitmq().await, redis().await) else {
        return;
    };
    let log = Log::default();
    let (logging, writer) = (tracing_subscriber::fmt().with_ansi(false), log.clone());
    let _logging = logging.with_writer(move || writer.clone()).set_default();
    let namespace = unique("databases");
    let bus = async |redis: &str| {
        let bus = Bus::builder().namespace(&namespace);
        let bus = bus.connect(Amqp::new(&amqp), RedisReplies::new(redis));
        bus.await.unwrap()
    };
    let (here, there) = (bus(&redis).await, bus(&another_database(&redis)).await);
    let service = Arc::new(There::default());
    let serving = there.serve(EchoServer::new(Arc::clone(&service)));
    let serving = serving.await.unwrap();

    let client = EchoClient::new(&here);
    let wait = Duration::from_secs(1);
    let timed_out = |error: &CallError<Never>, may_have_run| {
        assert_eq!(error.kind(), Some(FailureKind::TimedOut));
        assert_eq!(error.may_have_executed(), may_have_run);
    };
    // Until the service was faster than the caller's patience, on a machine that does much else.
    until("the service says why", || async {
        let asked = client.ask("x".to_owned()).timeout(wait).await;
        timed_out(&asked.unwrap_err(), true);
        let log = log.text();
        let why = "another server or database than this service";
        if log.contains(why) { Ok(()) } else { Err(log) }
    })
    .await;
    let line = log.text();
    let line = line.lines().find(|line| line.contains("another server"));
    let line = line.unwrap();
    for part in ["WARN", "service=\"Echo\"", "theirs=", "ours="] {
        assert!(line.contains(part), "{part}: {line}");
    }

    // A command that is told twice runs once all the same: the service has one Redis.
    for _ in 0..2 {
        let told = client.tell("x".to_owned()).timeout(wait);
        timed_out(&told.idempotency_key("once").await.unwrap_err(), true);
    }
    until("the command ran", || async {
        let runs = service.0.lock().unwrap().get("once").copied();
        if runs == Some(1) { Ok(()) } else { Err(runs) }
    })
    .await;
    // What is on the same Redis is answered.
    let answered = EchoClient::new(&there).tell("x".to_owned()).await;
    assert_eq!(answered.unwrap(), "x");
    assert!(here.health().is_up() && there.health().is_up());

    serving.shutdown().await.unwrap();
    let left = Leftovers::of(&namespace).queues(["requests"]);
    left.delete(&amqp).await.unwrap();
}
