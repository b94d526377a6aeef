//! Dead letters listed, put back and thrown away, in memory.

use crate::{
    bank::{AccountsClient, AccountsServer, Ledger},
    dead_letters::{bus, kept},
};
use replybus::{
    Bus, Context, Never,
    dead_letters::{DeadLetter, DeadLetterError, NotRedriven},
    message::{Message, Properties},
    queue_handler,
    server::Serving,
    transport::{Outgoing, QueueSpec, Transport, Verdict},
};
use replybus_testkit::wait::eventually;
use serde::{Deserialize, Serialize};
use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

#[derive(Debug, Serialize, Deserialize)]
struct Closed;

#[queue_handler("shop.requests")]
trait Shop {
    async fn order(&self, article: String, count: u32) -> Result<u32, Closed>;
    #[query]
    async fn price(&self, article: String) -> Result<u32, Never>;
}

/// Panics until it is repaired.
#[derive(Clone, Default)]
struct Till {
    broken: Arc<AtomicU32>,
    orders: Arc<Mutex<Vec<(String, u32, bool)>>>,
}

impl Till {
    fn broken() -> Self {
        let till = Self::default();
        till.broken.store(1, Ordering::SeqCst);
        till
    }

    fn repair(&self) {
        self.broken.store(0, Ordering::SeqCst);
    }

    fn orders(&self) -> Vec<(String, u32, bool)> {
        self.orders.lock().unwrap().clone()
    }
}

impl Shop for Till {
    async fn order(&self, article: String, count: u32) -> Result<u32, Closed> {
        assert!(
            self.broken.load(Ordering::SeqCst) == 0,
            "the till is broken"
        );
        let again = Context::current().redelivered();
        self.orders.lock().unwrap().push((article, count, again));
        Ok(count)
    }

    async fn price(&self, _: String) -> Result<u32, Never> {
        Ok(3)
    }
}

const QUEUE: &str = "shop.requests";

/// A broken shop with these orders among its dead letters.
async fn broken(articles: &[&str]) -> (Bus, Arc<dyn Transport>, Till, Serving) {
    let (bus, transport) = bus().await;
    let till = Till::broken();
    let serving = bus.serve(ShopServer::new(till.clone())).await.unwrap();
    let shop = ShopClient::new(&bus);
    for (before, article) in articles.iter().enumerate() {
        let order = shop.order((*article).to_owned(), 1);
        order
            .idempotency_key(format!("key {article}"))
            .send()
            .await
            .unwrap();
        holds(&transport, before as u64 + 1).await;
    }
    (bus, transport, till, serving)
}

async fn holds(transport: &Arc<dyn Transport>, letters: u64) {
    let what = format!("{letters} letters are kept");
    eventually(&what, || async { kept(transport, QUEUE).await == letters }).await;
}

async fn ordered(till: &Till, count: usize) {
    eventually("the orders are made", || async {
        till.orders().len() == count
    })
    .await;
}

async fn names(bus: &Bus) -> Vec<String> {
    #[derive(Deserialize)]
    struct Order {
        article: String,
    }
    let page = bus.dead_letters(QUEUE).list(0..1000).await.unwrap();
    let article = |letter: &DeadLetter| letter.arguments::<Order>().unwrap().article;
    page.letters.iter().map(article).collect()
}

async fn put(transport: &Arc<dyn Transport>, properties: Properties) {
    publish(transport, &format!("{QUEUE}.dead"), properties).await;
}

async fn publish(transport: &Arc<dyn Transport>, queue: &str, mut properties: Properties) {
    properties.persistent = true;
    let message = Message {
        routing_key: queue.into(),
        properties,
        body: "{}".into(),
        ..Message::default()
    };
    let mut receipt = transport.publish(Outgoing::new(message));
    assert_eq!(receipt.verdict().await, Verdict::Confirmed);
}

fn headers(headers: &[(&str, &str)]) -> Properties {
    let headers = headers.iter();
    Properties {
        kind: Some("order".into()),
        content_type: Some("application/json".into()),
        headers: headers
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        ..Properties::default()
    }
}

fn now() -> u128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_millis()
}

#[tokio::test]
async fn a_letter_says_what_it_was_and_why_it_died() {
    let (bus, _transport, _till, _serving) = broken(&["tea"]).await;
    let page = bus.dead_letters(QUEUE).list(0..10).await.unwrap();
    assert_eq!((page.letters.len(), page.total), (1, 1));
    let letter = &page.letters[0];
    assert_eq!((letter.name(), letter.reason()), ("order", "panicked"));
    assert_eq!(letter.error(), "the handler panicked");
    assert!(letter.may_have_executed());
    assert_eq!((letter.attempts(), letter.redriven()), (Some(1), 0));
    assert_eq!(letter.malformed(), None);
    assert!(letter.id().is_some() && letter.caller().is_some());
    let arguments: serde_json::Value = letter.arguments().unwrap();
    assert_eq!(arguments, serde_json::json!({"article": "tea", "count": 1}));
    let (died, known) = (letter.died_at().unwrap(), letter.known_until().unwrap());
    assert!(died >= letter.sent_at().unwrap());
    assert!(known > died + Duration::from_secs(23 * 60 * 60));
    let shown = format!("{letter:?}");
    assert!(!shown.contains("tea") && !shown.contains("key "), "{shown}");
}

#[tokio::test]
async fn a_list_takes_nothing_away() {
    let (bus, transport, _till, _serving) = broken(&["a", "b", "c"]).await;
    for _ in 0..3 {
        assert_eq!(names(&bus).await, ["a", "b", "c"]);
    }
    let page = bus.dead_letters(QUEUE).list(1..2).await.unwrap();
    assert_eq!((page.letters.len(), page.total), (1, 3));
    let order: serde_json::Value = page.letters[0].arguments().unwrap();
    assert_eq!(order["article"], "b");
    assert_eq!(
        bus.dead_letters(QUEUE)
            .list(3..9)
            .await
            .unwrap()
            .letters
            .len(),
        0
    );
    assert_eq!(kept(&transport, QUEUE).await, 3);
}

#[tokio::test]
async fn a_look_shows_each_letter_once_until_it_breaks_off_and_takes_nothing_away() {
    let (bus, transport, _till, _serving) = broken(&["a", "b", "c"]).await;
    let letters = bus.dead_letters(QUEUE);
    for (enough, shown) in [(1, 1), (2, 2), (9, 3)] {
        let mut seen = Vec::new();
        let look = |letter: DeadLetter| {
            let order: serde_json::Value = letter.arguments().unwrap();
            seen.push(order["article"].as_str().unwrap().to_owned());
            match seen.len() < enough {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        };
        assert_eq!(letters.look(look).await.unwrap(), 3);
        assert_eq!(seen, ["a", "b", "c"][..shown]);
    }
    assert_eq!(kept(&transport, QUEUE).await, 3);
}

#[tokio::test]
async fn what_is_put_back_is_handled_under_its_key() {
    let (bus, transport, till, _serving) = broken(&["tea", "jam"]).await;
    till.repair();
    let letters = bus.dead_letters(QUEUE);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let redrive = letters.redrive(|_| true).on_progress(move |progress| {
        let outcome = progress.outcome.is_ok();
        told.lock().unwrap().push((outcome, progress.total));
    });
    let outcome = redrive.await.unwrap();
    assert_eq!((outcome.redriven, outcome.stayed), (2, 0));
    assert_eq!(*seen.lock().unwrap(), [(true, 2), (true, 2)]);
    ordered(&till, 2).await;
    // The handler is told that it may have run before.
    let order = |article: &str| (article.to_owned(), 1, true);
    let mut orders = till.orders();
    orders.sort();
    assert_eq!(orders, [order("jam"), order("tea")]);
    assert_eq!(kept(&transport, QUEUE).await, 0);
    // The key is used up: who asks again is answered.
    let again = ShopClient::new(&bus).order("tea".to_owned(), 1);
    assert_eq!(again.idempotency_key("key tea").await.unwrap(), 1);
    assert_eq!(till.orders().len(), 2);
}

#[tokio::test]
async fn one_of_many_is_put_back() {
    let (bus, _transport, till, _serving) = broken(&["a", "b", "c", "d"]).await;
    till.repair();
    let letters = bus.dead_letters(QUEUE);
    let second = letters.list(1..2).await.unwrap().letters;
    let id = second[0].id().unwrap().to_owned();
    let redrive = letters.redrive(move |letter| letter.id() == Some(id.as_str()));
    assert_eq!(redrive.await.unwrap().redriven, 1);
    ordered(&till, 1).await;
    assert_eq!(till.orders()[0].0, "b");
    assert_eq!(names(&bus).await, ["a", "c", "d"]);
    assert_eq!(
        letters.redrive(|_| true).at_most(1).await.unwrap().redriven,
        1
    );
    ordered(&till, 2).await;
    assert_eq!(names(&bus).await, ["c", "d"]);
}

#[tokio::test]
async fn a_letter_that_fails_again_is_one_again_and_not_seen_twice() {
    let (bus, transport, _till, _serving) = broken(&["a", "b"]).await;
    for times in 1..=2 {
        let outcome = bus.dead_letters(QUEUE).redrive(|_| true).await.unwrap();
        assert_eq!(outcome.redriven, 2, "it ends");
        holds(&transport, 2).await;
        let page = bus.dead_letters(QUEUE).list(0..2).await.unwrap();
        assert!(page.letters.iter().all(|letter| letter.redriven() == times));
        let begun = Some(times + 1);
        assert!(page.letters.iter().all(|letter| letter.attempts() == begun));
    }
}

#[tokio::test]
async fn what_may_have_been_done_and_is_forgotten_stays_unless_it_may_run_twice() {
    let (bus, transport) = bus().await;
    let till = Till::default();
    let _serving = bus.serve(ShopServer::new(till.clone())).await.unwrap();
    let (reason, at) = (("dead-letter-reason", "panicked"), now().to_string());
    let at = ("dead-letter-at", at.as_str());
    let (past, future) = ((now() - 1).to_string(), (now() + 60_000).to_string());
    let executed = |text| ("dead-letter-may-have-executed", text);
    for (what, given, goes) in [
        ("a letter of before", vec![reason], false),
        (
            "forgotten",
            vec![
                reason,
                at,
                executed("true"),
                ("dead-letter-known-until", &past),
            ],
            false,
        ),
        (
            "unreadable",
            vec![
                reason,
                at,
                executed("true"),
                ("dead-letter-known-until", "soon"),
            ],
            false,
        ),
        (
            "surely not done",
            vec![
                reason,
                at,
                executed("false"),
                ("dead-letter-known-until", &past),
            ],
            true,
        ),
        (
            "still known",
            vec![
                reason,
                at,
                executed("true"),
                ("dead-letter-known-until", &future),
            ],
            true,
        ),
        ("a query", vec![reason, at, executed("true")], true),
    ] {
        let mut properties = headers(&given);
        properties.kind = Some("price".into());
        put(&transport, properties).await;
        let letters = bus.dead_letters(QUEUE);
        let outcome = letters.redrive(|_| true).await.unwrap();
        assert_eq!(outcome.redriven, u64::from(goes), "{what}");
        assert_eq!(
            outcome.why_stayed,
            (!goes).then_some(NotRedriven::Forgotten),
            "{what}"
        );
        // Bodies without arguments: each comes back as a bad request.
        holds(&transport, 1).await;
        let outcome = letters.redrive(|_| true).may_run_twice().await.unwrap();
        assert_eq!(outcome.redriven, 1, "{what}");
        holds(&transport, 1).await;
        assert_eq!(letters.purge(|_| true).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn an_awaited_command_without_a_key_is_forgotten_with_its_deadline() {
    let (bus, transport) = bus().await;
    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let panics = AccountsClient::new(&bus).panics_half_way();
    panics.timeout(Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(kept(&transport, "account.requests").await, 1);
    let letters = bus
        .dead_letters("account.requests")
        .list(0..1)
        .await
        .unwrap()
        .letters;
    // Its caller's: whoever comes later can't be told from it any more.
    let left = letters[0]
        .known_until()
        .unwrap()
        .duration_since(SystemTime::now());
    assert!(left.unwrap() <= Duration::from_secs(5));
}

#[tokio::test]
async fn what_was_put_back_and_is_late_when_its_turn_comes_is_a_letter_again() {
    let (bus, transport) = bus().await;
    let till = Till::default();
    let _serving = bus.serve(ShopServer::new(till.clone())).await.unwrap();
    let key = ("idempotency-key", "k");
    for (redriven, kept) in [(false, 0), (true, 1)] {
        let mut late = vec![("deadline", "1"), key];
        late.extend(redriven.then_some(("dead-letter-redriven", "1")));
        publish(&transport, QUEUE, headers(&late)).await;
        // Nothing was done under its key, so it surely has expired.
        eventually("it is gone", || async {
            let state = transport.inspect(QUEUE).await.unwrap();
            state.is_some_and(|queue| queue.waiting == 0)
        })
        .await;
        holds(&transport, kept).await;
    }
    let page = bus.dead_letters(QUEUE).list(0..1).await.unwrap();
    assert_eq!(page.letters[0].reason(), "expired");
    assert!(!page.letters[0].may_have_executed());
    assert_eq!(till.orders(), []);
}

#[tokio::test]
async fn malformed_and_shortened_letters_are_listed_and_purged_and_never_put_back() {
    let (bus, transport) = bus().await;
    let _serving = bus.serve(ShopServer::new(Till::default())).await.unwrap();
    put(&transport, Properties::default()).await;
    let reason = ("dead-letter-reason", "bad_request");
    let text = (
        "dead-letter-message",
        "the message can't be read: a bad byte",
    );
    put(
        &transport,
        headers(&[reason, text, ("dead-letter-malformed", "true")]),
    )
    .await;
    put(
        &transport,
        headers(&[reason, ("dead-letter-shortened", "1 headers left out")]),
    )
    .await;
    let letters = bus.dead_letters(QUEUE);
    let page = letters.list(0..9).await.unwrap();
    let malformed: Vec<_> = page.letters.iter().map(DeadLetter::malformed).collect();
    let foreign = "it has no header dead-letter-reason, so no service kept it";
    assert_eq!(malformed, [Some(foreign), Some(text.1), None]);
    let outcome = letters.redrive(|_| true).may_run_twice().await.unwrap();
    assert_eq!((outcome.redriven, outcome.stayed), (0, 3));
    assert!(matches!(
        outcome.why_stayed,
        Some(NotRedriven::Malformed { .. })
    ));
    let purged = letters.purge(|letter| letter.malformed().is_some());
    assert_eq!(purged.await.unwrap(), 2);
    let outcome = letters.redrive(|_| true).await.unwrap();
    assert!(matches!(
        outcome.why_stayed,
        Some(NotRedriven::Incomplete { .. })
    ));
    assert_eq!(kept(&transport, QUEUE).await, 1);
}

#[tokio::test]
async fn a_full_queue_leaves_the_letters_where_they_are() {
    let (bus, transport) = bus().await;
    let full = QueueSpec::new(QUEUE).length_max(1);
    transport.declare(full).await.unwrap();
    transport
        .declare(QueueSpec::new(format!("{QUEUE}.dead")))
        .await
        .unwrap();
    let letter = [
        ("dead-letter-reason", "x"),
        ("dead-letter-at", "1"),
        ("dead-letter-may-have-executed", "false"),
    ];
    for _ in 0..200 {
        put(&transport, headers(&letter)).await;
    }
    let error = bus.dead_letters(QUEUE).redrive(|_| true).await.unwrap_err();
    assert!(
        matches!(&error, DeadLetterError::NotTaken { redriven: 1, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("it is full"), "{error}");
    assert_eq!(kept(&transport, QUEUE).await, 199);
}

#[tokio::test]
async fn what_is_not_there_and_what_is_too_much_is_said() {
    let (bus, _transport) = bus().await;
    let error = bus.dead_letters("nobody").list(0..1).await.unwrap_err();
    assert!(matches!(error, DeadLetterError::NoQueue { .. }), "{error}");
    let error = bus
        .dead_letters("no body")
        .redrive(|_| true)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no body"), "{error}");
    let error = bus.dead_letters(QUEUE).list(0..1001).await.unwrap_err();
    assert!(
        error.to_string().contains("1001 letters, up to 1000"),
        "{error}"
    );
}

#[tokio::test]
async fn a_letter_without_its_queue_stays() {
    let (bus, transport) = bus().await;
    transport
        .declare(QueueSpec::new("gone.dead"))
        .await
        .unwrap();
    let letter = headers(&[("dead-letter-reason", "panicked")]);
    publish(&transport, "gone.dead", letter).await;
    let redrive = bus.dead_letters("gone").redrive(|_| true).may_run_twice();
    let error = redrive.await.unwrap_err();
    assert!(
        error.to_string().contains("there is no such queue"),
        "{error}"
    );
    assert_eq!(kept(&transport, "gone").await, 1);
}
