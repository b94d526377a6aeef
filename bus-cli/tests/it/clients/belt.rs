//! A service with partitions, served by programs in other languages: in the order of its keys, while
//! instances come and go and connections are cut.

use super::{
    brought::{self, Runner},
    desk::Place,
    faults::{Cuts, cut},
    foreign::Worker,
};
use replybus::{
    Amqp, Never,
    message::{Message, Properties},
    queue_handler,
    transport::{Outgoing, QueueSpec, Settled, Source},
};
use replybus_testkit::wait::{bounded, until};
use std::{collections::BTreeSet, fs, path::Path, time::Duration};

#[queue_handler("belt.requests", partitions = 16, timeout = "30s")]
pub(super) trait Belt {
    /// Writes a number behind those of its key.
    async fn put(&self, #[key] key: String, number: u32) -> Result<(), Never>;
}

const KEYS: u32 = 24;

/// A worker, and the file of each key, in which lines say who wrote which number.
struct Bench<'a> {
    place: &'a Place,
    files: &'a Path,
}

impl Bench<'_> {
    async fn start(&self, runner: &Runner, servers: &[String]) -> Worker {
        let mut command = runner.program("belt_worker", servers);
        command.env("BELT_FILES", self.files);
        Worker::start(command).await
    }

    /// Puts numbers on behalf of all keys, each behind the one before.
    async fn put(&self, numbers: std::ops::Range<u32>) {
        let belt = BeltClient::new(&self.place.bus);
        for number in numbers {
            for key in 0..KEYS {
                bounded(belt.put(format!("key {key}"), number).send())
                    .await
                    .unwrap();
            }
        }
    }

    fn lines(&self, key: u32) -> Vec<(u32, u32)> {
        let text = fs::read_to_string(self.files.join(format!("key {key}")));
        let text = text.unwrap_or_default();
        let lines = text.lines().map(|line| {
            let (who, number) = line.split_once(' ').unwrap();
            (who.parse().unwrap(), number.parse().unwrap())
        });
        lines.collect()
    }

    /// Waits until all numbers below this one are written.
    async fn has(&self, below: u32) {
        until("all is written", || async {
            let numbers = |key| self.lines(key).into_iter().map(|(_, number)| number);
            let mut keys = (0..KEYS).map(|key| (key, numbers(key).collect::<Vec<_>>()));
            keys.find(|(_, numbers)| !numbers.contains(&(below - 1)))
                .map_or(Ok(()), Err)
        })
        .await;
    }

    /// Those who wrote of these numbers.
    fn writers(&self, numbers: std::ops::Range<u32>) -> BTreeSet<u32> {
        let lines = (0..KEYS).flat_map(|key| self.lines(key));
        let lines = lines.filter(|(_, number)| numbers.contains(number));
        lines.map(|(who, _)| who).collect()
    }

    /// Each key has its numbers in their order; one whose writer was killed may be there twice.
    fn is_in_order(&self, below: u32) {
        for key in 0..KEYS {
            let mut numbers: Vec<_> = self.lines(key).iter().map(|(_, number)| *number).collect();
            numbers.dedup();
            assert_eq!(numbers, (0..below).collect::<Vec<_>>(), "key {key}");
        }
    }
}

async fn serves_in_order(runner: Runner) {
    let Some(place) = Place::open("belt").await else {
        return;
    };
    let files = tempfile::tempdir().unwrap();
    let bench = Bench {
        place: &place,
        files: files.path(),
    };
    let cuts = Cuts::before(&place).await;
    let first = bench.start(&runner, &cuts.servers).await;
    bench.put(0..5).await;
    for proxies in cuts.rounds() {
        cut(&proxies).await;
    }
    bench.has(5).await;
    // Another comes, and has its part when it is handed over.
    let second = bench.start(&runner, &place.servers).await;
    let mut put = 5;
    loop {
        bench.put(put..put + 1).await;
        bench.has(put + 1).await;
        if bench.writers(put..put + 1).len() == 2 {
            break;
        }
        put += 1;
    }
    // What it had goes to who is left.
    let ((), ()) = tokio::join!(bench.put(put + 1..put + 6), first.kill());
    bench.has(put + 6).await;
    bench.is_in_order(put + 6);
    refuses_what_is_misplaced(&place).await;
    assert_eq!(second.stop().await, "all was as it should be\n");
    let queues = BeltClient::CONTRACT.queues();
    let queues = queues.chain(["belt.requests.dead".to_owned()]);
    place.close_with(queues).await;
}

/// Messages that say no place, or another, are not run, and are kept under the name of the partition.
async fn refuses_what_is_misplaced(place: &Place) {
    let [amqp, _, namespace] = &place.servers;
    let transport = Amqp::new(amqp).connect().await.unwrap();
    let queue = format!("{namespace}.belt.requests.3");
    let odd = [None, Some("4/16"), Some("3/8"), Some("3"), Some("-3/16")];
    for place in odd {
        let header = place.map(|place| ("x-replybus-partition".into(), place.into()));
        let message = Message {
            routing_key: queue.as_str().into(),
            properties: Properties {
                kind: Some("put".into()),
                content_type: Some("application/json".into()),
                persistent: true,
                headers: header.into_iter().collect(),
                ..Properties::default()
            },
            body: br#"{"key":"key 0","number":99}"#.as_slice().into(),
            ..Message::default()
        };
        let mut receipt = transport.publish(Outgoing::new(message).confirm(true));
        bounded(receipt.verdict()).await;
    }
    let dead = QueueSpec::new(format!("{namespace}.belt.requests.dead")).or_existing();
    let mut letters = transport.consume(Source::new(dead, 100)).await.unwrap();
    for _ in odd {
        let letter = bounded(letters.next()).await.unwrap();
        let properties = &letter.message.properties;
        assert_eq!(properties.header("dead-letter-reason"), Some("bad_request"));
        assert_eq!(properties.header("dead-letter-queue"), Some(&*queue));
        letter.settler.settle(Settled::Ack);
    }
    letters.stop().await;
    transport.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn workers_in_python_serve_partitions_in_order() {
    if let Some(python) = brought::python().await {
        serves_in_order(python).await;
    }
}

#[tokio::test]
async fn workers_in_typescript_serve_partitions_in_order() {
    if let Some(node) = brought::node().await {
        serves_in_order(node).await;
    }
}
