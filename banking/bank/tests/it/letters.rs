//! What a service gave up, dealt with by the program.

use crate::program;
use replybus::{Amqp, Bus, Never, queue_handler, reply::memory::MemoryReplies};
use replybus_testkit::{
    live::{rabbitmq, unique},
    wait::eventually,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use town::command::{self, assert_refused};

const QUEUE: &str = "post.requests";

#[queue_handler("post.requests")]
trait Post {
    async fn deliver(&self, letter: u32) -> Result<(), Never>;
}

/// Panics until it may work.
#[derive(Clone, Default)]
struct Postman {
    works: Arc<AtomicU32>,
    delivered: Arc<AtomicU32>,
}

impl Post for Postman {
    async fn deliver(&self, letter: u32) -> Result<(), Never> {
        assert!(self.works.load(Ordering::SeqCst) > 0, "{letter}: closed");
        self.delivered.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn without_a_broker_there_are_no_letters() {
    assert_refused(program().path, &["letters", QUEUE], "RABBITMQ_URL");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_shown_put_back_and_thrown_away() {
    let Some(url) = rabbitmq().await else { return };
    let namespace = unique("letters");
    let bus = Bus::builder().namespace(&namespace);
    let bus = bus.connect(Amqp::new(&url), MemoryReplies::new());
    let bus = bus.await.unwrap();
    let postman = Postman::default();
    let server = PostServer::new(postman.clone());
    let serving = bus.serve(server).await.unwrap();
    let post = PostClient::new(&bus);
    for letter in 0..3 {
        let deliver = post.deliver(letter).idempotency_key(letter.to_string());
        deliver.send().await.unwrap();
    }
    let dead = format!("{QUEUE}.dead");
    let holds = async |letters: u64| {
        let what = format!("{letters} letters are kept");
        eventually(&what, || async {
            let state = bus.inspect(&dead).await.unwrap();
            state.is_some_and(|queue| queue.waiting == letters)
        })
        .await;
    };
    holds(3).await;
    let run = |arguments: &[&str]| {
        let environment = [
            ("RABBITMQ_URL", url.as_str()),
            ("BUS_NAMESPACE", &namespace),
        ];
        let arguments = [&["letters", QUEUE], arguments].concat();
        let (success, text) = command::run_in(&environment, program().path, &arguments);
        assert!(success, "{text}");
        text
    };
    let listed = run(&[]);
    assert!(listed.contains("3 letters, the oldest 3"), "{listed}");
    assert!(
        listed.contains("deliver of") && listed.contains("panicked"),
        "{listed}"
    );
    let none = run(&["put-back", "--reason", "handler"]);
    assert!(none.contains("0 were put back"), "{none}");

    postman.works.store(1, Ordering::SeqCst);
    let put_back = run(&["put-back", "--reason", "panicked"]);
    assert!(put_back.contains("3 were put back, 0 stay"), "{put_back}");
    eventually("they are delivered", || async {
        postman.delivered.load(Ordering::SeqCst) == 3
    })
    .await;

    postman.works.store(0, Ordering::SeqCst);
    post.deliver(4).send().await.unwrap();
    holds(1).await;
    let thrown_away = run(&["throw-away"]);
    assert!(thrown_away.contains("1 were thrown away"), "{thrown_away}");
    holds(0).await;

    serving.shutdown().await.unwrap();
    bus.close(Duration::from_secs(5)).await;
    let transport = Amqp::new(&url).connect().await.unwrap();
    for queue in [QUEUE, &dead] {
        let queue = format!("{namespace}.{queue}");
        transport.remove(&queue, &[], true).await.unwrap();
    }
    transport.close(Duration::from_secs(5)).await;
}
