//! What is done once.

use crate::stage::{Driver, Happened, Stage, happened};
use futures_util::future::join_all;
use replybus::{CallId, Context, queue_handler};
use replybus_sql::{Entered, InboxError, Request, Sweep};
use replybus_testkit::wait;
use std::time::Duration;

on_each_database! {
    a_repetition_gets_the_reply_and_does_nothing,
    a_key_of_another_request_is_a_conflict,
    of_many_at_once_one_does_it,
    an_error_is_kept_as_a_value_and_else_forgotten,
    what_is_old_goes_by_many_sweeps_at_once,
    an_event_is_handled_once_by_each_group,
    a_transaction_of_ones_own_keeps_the_reply,
    a_key_is_one_of_the_queue_that_is_served,
}

fn request(key: &str, asked: i64) -> Request {
    Request::new("count", key, &asked).unwrap()
}

/// Counts, and says how often it has.
async fn count<D: Driver>(stage: &Stage<D>, key: &str, asked: i64) -> Result<String, InboxError> {
    let request = request(key, asked);
    let counted = stage.inbox.once(
        &stage.pool,
        &request,
        async |transaction: &mut D::Connection| {
            D::within(transaction, "UPDATE counted SET times = times + 1").await;
            Ok(format!("for {key}"))
        },
    );
    counted.await
}

async fn counts<D: Driver>(stage: &Stage<D>) {
    stage.execute("CREATE TABLE counted (times BIGINT)").await;
    stage.execute("INSERT INTO counted VALUES (0)").await;
}

async fn times<D: Driver>(stage: &Stage<D>) -> i64 {
    stage.number("SELECT times FROM counted").await
}

async fn a_repetition_gets_the_reply_and_does_nothing<D: Driver>(stage: Stage<D>) {
    counts(&stage).await;
    for _ in 0..3 {
        assert_eq!(count(&stage, "a", 1).await.unwrap(), "for a");
    }
    assert_eq!(count(&stage, "b", 1).await.unwrap(), "for b");
    assert_eq!(times(&stage).await, 2);
}

async fn a_key_of_another_request_is_a_conflict<D: Driver>(stage: Stage<D>) {
    counts(&stage).await;
    count(&stage, "a", 1).await.unwrap();
    let other = count(&stage, "a", 2).await;
    assert!(matches!(other, Err(InboxError::Conflict)), "{other:?}");
    assert_eq!(count(&stage, "a", 1).await.unwrap(), "for a");
    assert_eq!(times(&stage).await, 1);
}

async fn of_many_at_once_one_does_it<D: Driver>(stage: Stage<D>) {
    counts(&stage).await;
    let all = join_all((0..12).map(|_| count(&stage, "a", 1)));
    for answer in wait::bounded(all).await {
        assert_eq!(answer.unwrap(), "for a");
    }
    assert_eq!(times(&stage).await, 1);
}

async fn an_error_is_kept_as_a_value_and_else_forgotten<D: Driver>(stage: Stage<D>) {
    counts(&stage).await;
    let request = request("a", 1);
    let failing = async |remembered: bool| {
        let work = async |transaction: &mut D::Connection| {
            D::within(transaction, "UPDATE counted SET times = times + 1").await;
            if remembered {
                Ok(Err("never".to_owned()))
            } else {
                Err(InboxError::NoReply)
            }
        };
        let done: Result<Result<(), String>, _> =
            stage.inbox.once(&stage.pool, &request, work).await;
        done
    };
    for _ in 0..2 {
        assert!(matches!(failing(false).await, Err(InboxError::NoReply)));
        assert_eq!(times(&stage).await, 0, "it is undone");
    }
    assert_eq!(failing(true).await.unwrap(), Err("never".to_owned()));
    assert_eq!(failing(false).await.unwrap(), Err("never".to_owned()));
    assert_eq!(times(&stage).await, 1);
}

async fn what_is_old_goes_by_many_sweeps_at_once<D: Driver>(stage: Stage<D>) {
    const OLD: i64 = 2_500;
    let old = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {OLD})
        INSERT INTO inbox (key, fingerprint, expires_at) SELECT CAST(n AS TEXT), '', n FROM numbers"
    );
    stage.execute(&old).await;
    counts(&stage).await;
    count(&stage, "young", 1).await.unwrap();
    let forgetful = stage.inbox.clone().retention(Duration::ZERO);
    let request = Request::new("short", "k", &()).unwrap();
    let mut connection = stage.pool.acquire().await.unwrap();
    assert!(forgetful.is_new(&mut *connection, &request).await.unwrap());
    assert!(!forgetful.is_new(&mut *connection, &request).await.unwrap());
    drop(connection);
    let before = "SELECT COUNT(*) FROM inbox";
    assert_eq!(stage.number(before).await, OLD + 2);
    let sweeps = [(); 3].map(|()| Sweep::new(&stage.inbox, D::connections(&stage.pool)));
    let swept = join_all(sweeps.iter().map(Sweep::once)).await;
    let swept: u64 = swept.into_iter().map(Result::unwrap).sum();
    assert_eq!(swept, u64::try_from(OLD + 1).unwrap());
    assert_eq!(stage.number(before).await, 1);
    assert_eq!(count(&stage, "young", 1).await.unwrap(), "for young");
    assert_eq!(times(&stage).await, 1);
}

async fn an_event_is_handled_once_by_each_group<D: Driver>(stage: Stage<D>) {
    counts(&stage).await;
    let mut subscriptions = Vec::new();
    for group in ["one", "other"] {
        let stage_of = stage.clone();
        let subscription = stage.bus.subscribe(group, move |_: Happened| {
            let stage = stage_of.clone();
            async move {
                let request = Request::event(group)?;
                let handled = stage.inbox.once(
                    &stage.pool,
                    &request,
                    async |transaction: &mut D::Connection| {
                        D::within(transaction, "UPDATE counted SET times = times + 1").await;
                        Ok::<_, InboxError>(())
                    },
                );
                handled.await
            }
        });
        subscriptions.push(subscription.await.unwrap());
    }
    let id = CallId::new();
    stage.bus.emit(&happened("once")).id(id).await.unwrap();
    let entered = "SELECT COUNT(*) FROM inbox";
    wait::eventually("both handled it", || async {
        stage.number(entered).await == 2
    })
    .await;
    for subscription in subscriptions {
        subscription.shutdown().await.unwrap();
    }
    // Whoever forgot that it was handled: another bus knows nothing of it.
    let request = Request::new("event:one", &id.to_string(), &()).unwrap();
    let mut connection = stage.pool.acquire().await.unwrap();
    assert!(
        !stage
            .inbox
            .is_new(&mut *connection, &request)
            .await
            .unwrap()
    );
    drop(connection);
    assert_eq!(times(&stage).await, 2);
}

async fn a_transaction_of_ones_own_keeps_the_reply<D: Driver>(stage: Stage<D>) {
    let request = request("a", 1);
    let mut transaction = stage.pool.begin().await.unwrap();
    match stage
        .inbox
        .enter(&mut *transaction, &request)
        .await
        .unwrap()
    {
        Entered::New(place) => place
            .keep(&mut *transaction, &vec![1.5, 2.5])
            .await
            .unwrap(),
        Entered::Done(kept) => panic!("{kept:?}"),
    }
    transaction.commit().await.unwrap();
    let mut transaction = stage.pool.begin().await.unwrap();
    match stage
        .inbox
        .enter(&mut *transaction, &request)
        .await
        .unwrap()
    {
        Entered::Done(kept) => {
            assert_eq!(kept.reply::<Vec<f64>>().unwrap(), [1.5, 2.5]);
            let unreadable = kept.reply::<String>();
            assert!(matches!(unreadable, Err(InboxError::Unreadable(_))));
        }
        Entered::New(place) => panic!("{place:?}"),
    }
    transaction.rollback().await.unwrap();
}

#[queue_handler("replybus-sql.tenants")]
pub(crate) trait Tenants {
    /// Counts, and says on which queue.
    #[command(own_record)]
    async fn count(&self) -> Result<Option<String>, String>;
}

struct Counting<D: Driver>(Stage<D>);

impl<D: Driver> Tenants for Counting<D> {
    async fn count(&self) -> Result<Option<String>, String> {
        let stage = self.0.clone();
        let request = Request::current(&()).map_err(|error| error.to_string())?;
        let counted = stage.inbox.once(
            &stage.pool,
            &request,
            async |transaction: &mut D::Connection| {
                D::within(transaction, "UPDATE counted SET times = times + 1").await;
                let queue = Context::current().queue().map(str::to_owned);
                Ok::<_, InboxError>(queue)
            },
        );
        counted.await.map_err(|error| error.to_string())
    }
}

async fn a_key_is_one_of_the_queue_that_is_served<D: Driver>(stage: Stage<D>) {
    counts(&stage).await;
    let queues = ["replybus-sql.tenants", "tenants.one", "tenants.other"];
    let mut serving = Vec::new();
    for queue in queues {
        let service = TenantsServer::new(Counting(stage.clone()));
        serving.push(stage.bus.serve(service).on_queue(queue).await.unwrap());
    }
    for _ in 0..2 {
        for queue in queues {
            let tenants = TenantsClient::new(&stage.bus).on_queue(queue);
            let counted = tenants.count().idempotency_key("a").await;
            assert_eq!(counted.unwrap().as_deref(), Some(queue));
        }
    }
    assert_eq!(times(&stage).await, 3);
    // As it was kept before queues were told apart.
    let own = Request::new("Tenants.count:key", "a", &()).unwrap();
    let mut connection = stage.pool.acquire().await.unwrap();
    assert!(!stage.inbox.is_new(&mut *connection, &own).await.unwrap());
    drop(connection);
    for service in serving {
        service.shutdown().await.unwrap();
    }
}
