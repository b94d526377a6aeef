//! Publishes that the broker refuses by closing their channel: told at once, with its words, and no
//! trouble of others.

use super::rig::{Rig, bounded};
use replybus::{Amqp, Bus, CallError, FailureKind, Never, queue_handler};
use replybus::{
    message::Message,
    transport::{Outgoing, QueueSpec, Transport, Verdict},
};
use replybus_redis::RedisReplies;
use replybus_testkit::servers::Persistence;
use std::sync::Arc;

#[queue_handler("refusals.requests")]
trait Echo {
    #[query]
    async fn ask(&self, text: String) -> Result<usize, Never>;

    async fn tell(&self, text: String) -> Result<usize, Never>;
}

struct Here;

impl Echo for Here {
    async fn ask(&self, text: String) -> Result<usize, Never> {
        Ok(text.len())
    }

    async fn tell(&self, text: String) -> Result<usize, Never> {
        Ok(text.len())
    }
}

impl Rig {
    /// The address of a new user, who may write to what matches `write`, and change nothing.
    async fn user(&self, name: &str, write: &str) -> String {
        self.url_of(name, ["^$", write, ".*"]).await
    }

    async fn bus(&self, amqp: &str) -> Bus {
        Bus::connect(Amqp::new(amqp), RedisReplies::new(self.redis.url()))
            .await
            .unwrap()
    }
}

fn to(exchange: &str, routing_key: &str) -> Outgoing {
    Outgoing::new(Message {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        body: "x".into(),
        ..Message::default()
    })
}

async fn publish(transport: &Arc<dyn Transport>, outgoing: Outgoing) -> Verdict {
    bounded(transport.publish(outgoing).verdict()).await
}

/// The failure of a call that the broker refused, which says what it said.
fn assert_refused<E: std::error::Error>(error: &CallError<E>, kind: FailureKind, said: &str) {
    let CallError::Bus(failure) = error else {
        panic!("{error}");
    };
    assert_eq!(failure.kind(), kind, "{failure}");
    assert!(!failure.may_have_executed(), "{failure}");
    let cause = failure.cause().map(ToString::to_string).unwrap();
    assert!(cause.contains(said), "{cause}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_to_an_exchange_without_the_right_is_denied_and_others_are_published() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let guest = Amqp::new(rig.rabbit.url()).connect().await.unwrap();
    let queue = QueueSpec::new("refusals.open");
    guest.declare(queue.clone()).await.unwrap();
    // To publish to it declares it.
    assert_eq!(
        publish(&guest, to("refusals.vault", "k").mandatory(false)).await,
        Verdict::Confirmed
    );

    let clerk = rig.user("clerk", r"^amq\.default$").await;
    let transport = Amqp::new(clerk).connect().await.unwrap();
    let denied = || async {
        match publish(&transport, to("refusals.vault", "k")).await {
            Verdict::Denied(said) => assert!(said.contains("refusals.vault"), "{said}"),
            other => panic!("{other:?}"),
        }
    };
    let mut others: Vec<_> = (0..50)
        .map(|_| transport.publish(to("", &queue.name)))
        .collect();
    denied().await;
    for other in &mut others {
        let verdict = bounded(other.verdict()).await;
        assert!(
            matches!(verdict, Verdict::Confirmed | Verdict::Lost),
            "{verdict:?}"
        );
    }
    // By now it is known, and takes nobody's channel.
    for _ in 0..20 {
        let mut others: Vec<_> = (0..20)
            .map(|_| transport.publish(to("", &queue.name)))
            .collect();
        denied().await;
        for other in &mut others {
            assert_eq!(bounded(other.verdict()).await, Verdict::Confirmed);
        }
    }
    // With the right it goes the way of others again.
    let rights = [
        "set_permissions",
        "clerk",
        "^$",
        r"^(amq\.default|refusals\.vault)$",
        ".*",
    ];
    rig.rabbit.ctl(&rights).await.unwrap();
    let verdict = publish(&transport, to("refusals.vault", "k").mandatory(false)).await;
    assert_eq!(verdict, Verdict::Confirmed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_user_who_may_not_call_is_denied_at_once() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let url = rig.user("guest-of-none", "^$").await;
    let bus = rig.bus(&url).await;
    let echo = EchoClient::new(&bus);
    for _ in 0..3 {
        let said = "access to exchange 'amq.default'";
        let asked = bounded(echo.ask("x".to_owned()).into_future()).await;
        assert_refused(&asked.unwrap_err(), FailureKind::Denied, said);
        let told = bounded(echo.tell("x".to_owned()).into_future()).await;
        assert_refused(&told.unwrap_err(), FailureKind::Denied, said);
        let sent = bounded(echo.tell("x".to_owned()).send()).await;
        let failure = sent.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Denied);
        assert!(!failure.may_have_executed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_too_large_for_the_broker_is_refused_at_once_and_others_are_served() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    // RabbitMQ 3 looks at the first of these, RabbitMQ 4 at the second.
    let limit = "application:set_env(rabbit, max_message_size, 1000), \
                 persistent_term:put(max_message_size, 1000).";
    rig.rabbit.ctl(&["eval", limit]).await.unwrap();
    let url = rig.rabbit.url();
    let (worker, caller) = tokio::join!(rig.bus(&url), rig.bus(&url));
    let serving = worker.serve(EchoServer::new(Here)).await.unwrap();
    let echo = EchoClient::new(&caller);
    let large = || "x".repeat(2000);
    let ask = |text: String| bounded(echo.ask(text).into_future());
    for _ in 0..10 {
        let asking = tokio::join!(ask("y".into()), ask(large()), ask("yy".into()));
        let (small, refused, other) = asking;
        assert_eq!((small.unwrap(), other.unwrap()), (1, 2));
        assert_refused(&refused.unwrap_err(), FailureKind::NotSent, "max size 1000");
        let told = bounded(echo.tell(large()).into_future()).await;
        assert_refused(&told.unwrap_err(), FailureKind::NotSent, "max size 1000");
        let sent = bounded(echo.tell(large()).send()).await.unwrap_err();
        assert_eq!(sent.kind(), FailureKind::NotSent);
        assert!(!sent.may_have_executed());
    }
    serving.shutdown().await.unwrap();
}
