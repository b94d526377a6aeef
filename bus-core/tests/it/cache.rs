//! Answers of queries that are kept for others.

use crate::faulty_store::{Faults, FaultyReplies};
use replybus::{
    Bus, Call, CallError, ContentType, FailureKind, Never,
    client::CacheStatus::{self, Bypassed, Hit, Miss, Refreshed, Shared},
    contract::Outcome,
    limits::{CACHE_ANSWER_BYTES_MAX, CACHE_LEASE, CACHE_PAUSED_FOR},
    queue_handler,
    reply::{ReplyBackend, memory::MemoryReplies},
    transport::memory::MemoryBroker,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    future::IntoFuture,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, advance, sleep},
};

#[queue_handler("product.requests", timeout = "10s")]
trait Products {
    #[query(cache = "300s", tags("product:{id}", "products"))]
    async fn name(&self, id: u32) -> Result<String, String>;

    #[query(cache = "300s", tags("product:{id}"), vary("tenant"))]
    async fn price(&self, id: u32) -> Result<u32, Never>;

    #[query(cache = "300s")]
    async fn page(&self, bytes: usize) -> Result<String, Never>;

    #[query(cache = "300s", tags("part:{part}"))]
    async fn made_of(&self, part: Part) -> Result<u32, Never>;

    /// Fails if the name is empty.
    #[invalidates("product:{id}")]
    async fn rename(&self, id: u32, name: String) -> Result<(), String>;

    /// Panics once the name is another.
    #[invalidates("product:{id}")]
    async fn rename_and_fall(&self, id: u32, name: String) -> Result<(), Never>;

    #[invalidates("product:{id}")]
    #[command(own_record)]
    async fn rename_by_record(&self, id: u32, name: String) -> Result<(), Never>;

    #[invalidates("part:{part}")]
    async fn make(&self, part: Part) -> Result<(), Never>;
}

#[derive(Debug, Serialize, Deserialize)]
struct Part {
    number: u32,
}

/// Keeps the names of its products, and answers when its gate is open.
#[derive(Clone)]
struct Shelf {
    names: Arc<Mutex<HashMap<u32, String>>>,
    asked: Arc<AtomicU32>,
    gate: watch::Receiver<bool>,
}

impl Shelf {
    fn new() -> (Self, watch::Sender<bool>) {
        let (opener, gate) = watch::channel(true);
        let shelf = Self {
            names: Arc::new(Mutex::new(HashMap::from([(7, "pen".to_owned())]))),
            asked: Arc::default(),
            gate,
        };
        (shelf, opener)
    }

    /// How often its queries were run since it was asked last.
    fn asked(&self) -> u32 {
        self.asked.swap(0, Ordering::SeqCst)
    }

    /// What is true when it is asked, told when the gate is open.
    async fn tells<T>(&self, told: T) -> T {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _ = self.gate.clone().wait_for(|is_open| *is_open).await;
        told
    }

    fn set(&self, id: u32, name: String) {
        self.names.lock().unwrap().insert(id, name);
    }
}

impl Products for Shelf {
    async fn name(&self, id: u32) -> Result<String, String> {
        let name = self.names.lock().unwrap().get(&id).cloned();
        self.tells(name.ok_or_else(|| "no such product".to_owned()))
            .await
    }

    async fn price(&self, id: u32) -> Result<u32, Never> {
        Ok(self.tells(id * 100).await)
    }

    async fn page(&self, bytes: usize) -> Result<String, Never> {
        Ok(self.tells("x".repeat(bytes)).await)
    }

    async fn made_of(&self, part: Part) -> Result<u32, Never> {
        Ok(self.tells(part.number).await)
    }

    async fn rename(&self, id: u32, name: String) -> Result<(), String> {
        if name.is_empty() {
            return Err("a product has a name".to_owned());
        }
        self.set(id, name);
        Ok(())
    }

    async fn rename_and_fall(&self, id: u32, name: String) -> Result<(), Never> {
        self.set(id, name);
        panic!("on purpose");
    }

    async fn rename_by_record(&self, id: u32, name: String) -> Result<(), Never> {
        self.set(id, name);
        Ok(())
    }

    async fn make(&self, _: Part) -> Result<(), Never> {
        Ok(())
    }
}

/// Buses that share a broker and a store, as processes do.
struct Town {
    broker: MemoryBroker,
    replies: MemoryReplies,
}

impl Town {
    fn new() -> Self {
        Self {
            broker: MemoryBroker::new(),
            replies: MemoryReplies::new(),
        }
    }

    async fn bus(&self) -> Bus {
        self.bus_with(self.replies.clone()).await
    }

    async fn bus_with(&self, replies: impl ReplyBackend) -> Bus {
        Bus::connect(self.broker.clone(), replies).await.unwrap()
    }
}

/// What a query came to, and where it came from.
async fn told<R: Outcome>(call: Call<R>) -> (R::Ok, CacheStatus)
where
    R::Err: std::fmt::Debug,
{
    let (value, status) = call.with_cache_status().await.unwrap();
    (value, status.unwrap())
}

async fn status<R: Outcome>(call: Call<R>) -> CacheStatus
where
    R::Err: std::fmt::Debug,
{
    told(call).await.1
}

/// Lets everything happen that needs no time.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_given_to_all_who_ask_the_same_until_its_time_is_over() {
    let town = Town::new();
    let (service, one, other) = (town.bus().await, town.bus().await, town.bus().await);
    let (shelf, _gate) = Shelf::new();
    let _serving = service
        .serve(ProductsServer::new(shelf.clone()))
        .await
        .unwrap();
    let (one, other) = (ProductsClient::new(&one), ProductsClient::new(&other));
    shelf.set(8, "ink".to_owned());

    assert_eq!(told(one.name(7)).await, ("pen".to_owned(), Miss));
    assert_eq!(told(one.name(7)).await, ("pen".to_owned(), Hit));
    assert_eq!(told(other.name(7)).await, ("pen".to_owned(), Hit));
    assert_eq!(told(other.name(8)).await, ("ink".to_owned(), Miss));
    // Each encoding has its own.
    let json = one.clone().with_content_type(ContentType::Json);
    assert_eq!(told(json.name(7)).await, ("pen".to_owned(), Miss));
    assert_eq!(told(json.name(7)).await, ("pen".to_owned(), Hit));
    assert_eq!(shelf.asked(), 3);

    advance(Duration::from_secs(299)).await;
    assert_eq!(status(one.name(7)).await, Hit);
    advance(Duration::from_secs(2)).await;
    assert_eq!(status(one.name(7)).await, Miss);
    assert_eq!(shelf.asked(), 1);
    // What nobody waits for is not answered from there, nor kept.
    one.name(7).send().await.unwrap();
    settle().await;
    assert_eq!(shelf.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_was_told_that_a_command_succeeded_reads_what_it_wrote() {
    let town = Town::new();
    let (service, caller) = (town.bus().await, town.bus().await);
    let (shelf, _gate) = Shelf::new();
    let _serving = service
        .serve(ProductsServer::new(shelf.clone()))
        .await
        .unwrap();
    let products = ProductsClient::new(&caller);
    let json = products.clone().with_content_type(ContentType::Json);
    assert_eq!(status(products.price(7)).await, Miss);
    assert_eq!(status(products.name(7)).await, Miss);
    assert_eq!(status(json.name(7)).await, Miss);

    // It says itself that it did nothing.
    let refused = products.rename(7, String::new()).await.unwrap_err();
    assert!(matches!(refused, CallError::Handler(_)), "{refused:?}");
    // Another product.
    products.rename(8, "ink".to_owned()).await.unwrap();
    assert_eq!(told(products.name(7)).await, ("pen".to_owned(), Hit));

    json.rename(7, "quill".to_owned()).await.unwrap();
    for products in [&products, &json] {
        assert_eq!(told(products.name(7)).await, ("quill".to_owned(), Miss));
        assert_eq!(told(products.name(7)).await, ("quill".to_owned(), Hit));
    }
    assert_eq!(status(products.price(7)).await, Miss);

    let fallen = products.rename_and_fall(7, "pencil".to_owned()).await;
    assert!(fallen.unwrap_err().may_have_executed());
    assert_eq!(told(products.name(7)).await, ("pencil".to_owned(), Miss));
    let renamed = products.rename_by_record(7, "chalk".to_owned()).await;
    renamed.unwrap();
    assert_eq!(told(products.name(7)).await, ("chalk".to_owned(), Miss));
    // A command whose outcome nobody waits for.
    products
        .rename(7, "crayon".to_owned())
        .send()
        .await
        .unwrap();
    settle().await;
    assert_eq!(told(products.name(7)).await, ("crayon".to_owned(), Miss));
    // By hand, and by a tag of all.
    assert_eq!(status(products.name(7)).await, Hit);
    caller
        .invalidate("product.requests", ["product:8"])
        .await
        .unwrap();
    assert_eq!(status(products.name(7)).await, Hit);
    caller
        .invalidate("product.requests", ["products"])
        .await
        .unwrap();
    assert_eq!(status(products.name(7)).await, Miss);
    assert!(caller.invalidate("product{", ["products"]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_command_overtook_is_kept_for_nobody() {
    let town = Town::new();
    let (service, caller, other) = (town.bus().await, town.bus().await, town.bus().await);
    let (shelf, gate) = Shelf::new();
    let _serving = service
        .serve(ProductsServer::new(shelf.clone()))
        .await
        .unwrap();
    let (products, others) = (ProductsClient::new(&caller), ProductsClient::new(&other));

    gate.send_replace(false);
    let early = tokio::spawn(told(products.name(7)));
    settle().await;
    // These wait for the answer that is on its way.
    let beside = tokio::spawn(told(products.name(7)));
    let elsewhere = tokio::spawn(told(others.name(7)));
    settle().await;
    assert_eq!(shelf.asked(), 1);
    products.rename(7, "quill".to_owned()).await.unwrap();
    // This one asks after the command, and finds that answer on its way.
    let late = tokio::spawn(told(products.name(7)));
    settle().await;
    gate.send_replace(true);

    assert_eq!(early.await.unwrap(), ("pen".to_owned(), Miss));
    for later in [beside, elsewhere, late] {
        assert_eq!(later.await.unwrap().0, "quill");
    }
    assert_eq!(told(products.name(7)).await, ("quill".to_owned(), Hit));
    assert_eq!(shelf.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_callers_have_an_answer_computed_once() {
    let town = Town::new();
    let service = town.bus().await;
    let (shelf, gate) = Shelf::new();
    let _serving = service
        .serve(ProductsServer::new(shelf.clone()))
        .await
        .unwrap();
    gate.send_replace(false);
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let products = ProductsClient::new(&town.bus().await);
        for _ in 0..100 {
            calls.spawn(told(products.name(7)));
        }
    }
    // Longer than a turn holds by itself.
    sleep(3 * CACHE_LEASE).await;
    gate.send_replace(true);
    let told = calls.join_all().await;
    assert!(told.iter().all(|(name, _)| name == "pen"));
    let misses = told.iter().filter(|(_, status)| *status == Miss).count();
    let shared = told.iter().filter(|(_, status)| *status == Shared).count();
    assert_eq!((misses, shelf.asked()), (1, 1));
    assert_eq!(shared, 99, "those of the same process");
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_when_the_one_who_computed_is_gone() {
    let town = Town::new();
    let (service, one, other) = (town.bus().await, town.bus().await, town.bus().await);
    let (shelf, gate) = Shelf::new();
    let _serving = service
        .serve(ProductsServer::new(shelf.clone()))
        .await
        .unwrap();
    let (products, others) = (ProductsClient::new(&one), ProductsClient::new(&other));
    gate.send_replace(false);
    let first = tokio::spawn(products.name(7).into_future());
    settle().await;
    let beside = tokio::spawn(told(products.name(7)));
    let elsewhere = tokio::spawn(told(others.name(7)));
    settle().await;
    assert_eq!(shelf.asked(), 1);
    first.abort();
    // At once, or when it looks next; not when a lease is over.
    sleep(CACHE_LEASE / 2).await;
    assert_eq!(shelf.asked(), 1);
    gate.send_replace(true);
    assert_eq!(beside.await.unwrap().0, "pen");
    assert_eq!(elsewhere.await.unwrap().0, "pen");
    assert_eq!(shelf.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_when_nobody_polls_the_call_that_computes() {
    let (shelf, opener) = Shelf::new();
    let bus = Bus::in_memory();
    let _serving = bus.serve(ProductsServer::new(shelf.clone())).await.unwrap();
    let client = ProductsClient::new(&bus);
    opener.send_replace(false);
    let mut left = pin!(client.name(7).into_future());
    let asked = async {
        while shelf.asked.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        answered = &mut left => panic!("{answered:?}"),
        () = asked => {}
    }
    opener.send_replace(true);
    let began = Instant::now();
    assert_eq!(client.name(7).await.unwrap(), "pen");
    assert!(began.elapsed() < 3 * CACHE_LEASE);
    assert_eq!(left.await.unwrap(), "pen");
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_are_answered_though_it_changes_faster_than_it_is_computed() {
    let (shelf, opener) = Shelf::new();
    let bus = Bus::in_memory();
    let serving = bus.serve(ProductsServer::new(shelf)).concurrency(256);
    let _serving = serving.await.unwrap();
    let client = ProductsClient::new(&bus);
    let computing = async {
        loop {
            // Each takes 50 ms, in which something is changed five times.
            opener.send_replace(false);
            for _ in 0..5 {
                sleep(Duration::from_millis(10)).await;
                client.rename(8, "ink".to_owned()).await.unwrap();
                bus.invalidate("product.requests", ["products"])
                    .await
                    .unwrap();
            }
            opener.send_replace(true);
            sleep(Duration::from_millis(1)).await;
        }
    };
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        asking.spawn(client.name(7).timeout(Duration::from_secs(5)).into_future());
    }
    tokio::select! {
        () = computing => {}
        names = asking.join_all() => {
            assert!(names.iter().all(|name| name.as_deref() == Ok("pen")), "{names:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_waits_no_longer_than_its_own_time() {
    let town = Town::new();
    let (service, one, other) = (town.bus().await, town.bus().await, town.bus().await);
    let (shelf, gate) = Shelf::new();
    let _serving = service
        .serve(ProductsServer::new(shelf.clone()))
        .await
        .unwrap();
    let (products, others) = (ProductsClient::new(&one), ProductsClient::new(&other));
    gate.send_replace(false);
    let first = tokio::spawn(told(products.name(7)));
    settle().await;
    for products in [products, others] {
        let short = products.name(7).timeout(Duration::from_millis(300));
        let failure = short.await.unwrap_err();
        assert_eq!(failure.kind(), Some(FailureKind::TimedOut));
        assert!(!failure.may_have_executed());
    }
    gate.send_replace(true);
    assert_eq!(first.await.unwrap().1, Miss);
    assert_eq!(shelf.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_and_what_is_too_large_are_not_kept() {
    let town = Town::new();
    let (service, caller) = (town.bus().await, town.bus().await);
    let (shelf, gate) = Shelf::new();
    let _serving = service
        .serve(ProductsServer::new(shelf.clone()))
        .await
        .unwrap();
    let products = ProductsClient::new(&caller);
    for _ in 0..2 {
        let error = products.name(99).await.unwrap_err();
        assert_eq!(error, CallError::Handler("no such product".to_owned()));
    }
    assert_eq!(shelf.asked(), 2);
    // Those who wait at the same time get the one error.
    gate.send_replace(false);
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        calls.spawn(products.name(99).into_future());
    }
    sleep(CACHE_LEASE).await;
    gate.send_replace(true);
    for error in calls.join_all().await {
        assert_eq!(error, Err(CallError::Handler("no such product".to_owned())));
    }
    assert_eq!(shelf.asked(), 1);

    for (bytes, second) in [
        (CACHE_ANSWER_BYTES_MAX - 10, Hit),
        (CACHE_ANSWER_BYTES_MAX, Miss),
    ] {
        assert_eq!(status(products.page(bytes)).await, Miss);
        assert_eq!(status(products.page(bytes)).await, second);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_for_one_are_given_to_nobody_else() {
    let bus = Bus::in_memory();
    let (shelf, _gate) = Shelf::new();
    let _serving = bus.serve(ProductsServer::new(shelf.clone())).await.unwrap();
    let products = ProductsClient::new(&bus);
    let price = |tenant| products.price(7).metadata("tenant", tenant);
    assert_eq!(status(price("a")).await, Miss);
    assert_eq!(status(price("b")).await, Miss);
    assert_eq!(status(products.price(7)).await, Miss);
    assert_eq!(status(price("a")).await, Hit);
    // What it does not depend on makes no difference.
    let other = price("b").metadata("language", "de");
    assert_eq!(status(other).await, Hit);
    assert_eq!(shelf.asked(), 3);
    products.rename(7, "quill".to_owned()).await.unwrap();
    assert_eq!(status(price("a")).await, Miss);
}

#[tokio::test(start_paused = true)]
async fn who_wants_it_anew_gets_it_so_and_others_with_it() {
    let bus = Bus::in_memory();
    let (shelf, _gate) = Shelf::new();
    let _serving = bus.serve(ProductsServer::new(shelf.clone())).await.unwrap();
    let products = ProductsClient::new(&bus);
    assert_eq!(status(products.name(7)).await, Miss);
    shelf.set(7, "quill".to_owned());
    assert_eq!(told(products.name(7)).await, ("pen".to_owned(), Hit));
    let anew = told(products.name(7).uncached()).await;
    assert_eq!(anew, ("quill".to_owned(), Refreshed));
    assert_eq!(told(products.name(7)).await, ("quill".to_owned(), Hit));
    let (_, status) = products
        .rename(7, "pen".to_owned())
        .with_cache_status()
        .await
        .unwrap();
    assert_eq!(status, None);
}

#[tokio::test(start_paused = true)]
async fn arguments_that_make_no_tag_keep_nothing_and_are_refused_in_a_command() {
    let bus = Bus::in_memory();
    let (shelf, _gate) = Shelf::new();
    let _serving = bus.serve(ProductsServer::new(shelf.clone())).await.unwrap();
    let products = ProductsClient::new(&bus);
    for _ in 0..2 {
        assert_eq!(status(products.made_of(Part { number: 1 })).await, Bypassed);
    }
    assert_eq!(shelf.asked(), 2);
    let failure = products.make(Part { number: 1 }).await.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::BadRequest));
    assert!(!failure.may_have_executed());
    let text = format!("{failure:?}");
    assert!(text.contains("`part` is a structure"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn without_the_store_queries_go_on_and_it_is_asked_now_and_then() {
    let town = Town::new();
    let faults = Arc::new(Faults::default());
    let replies = FaultyReplies::over(&town.replies, &faults);
    let (service, caller) = (town.bus().await, town.bus_with(replies).await);
    let (shelf, _gate) = Shelf::new();
    let _serving = service
        .serve(ProductsServer::new(shelf.clone()))
        .await
        .unwrap();
    let products = ProductsClient::new(&caller);
    assert_eq!(status(products.name(7)).await, Miss);
    faults.no_cache.store(true, Ordering::SeqCst);
    faults.looks.store(0, Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(told(products.name(7)).await, ("pen".to_owned(), Bypassed));
    }
    assert_eq!(faults.looks.load(Ordering::SeqCst), 1);
    faults.no_cache.store(false, Ordering::SeqCst);
    assert_eq!(status(products.name(7)).await, Bypassed);
    advance(CACHE_PAUSED_FOR).await;
    assert_eq!(status(products.name(7)).await, Hit);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_a_command_before_its_answers_are_invalidated() {
    let town = Town::new();
    let faults = Arc::new(Faults::default());
    let replies = FaultyReplies::over(&town.replies, &faults);
    let (service, caller) = (town.bus_with(replies).await, town.bus().await);
    let (shelf, _gate) = Shelf::new();
    let _serving = service
        .serve(ProductsServer::new(shelf.clone()))
        .await
        .unwrap();
    let products = ProductsClient::new(&caller);
    assert_eq!(status(products.name(7)).await, Miss);
    faults.no_invalidation.store(true, Ordering::SeqCst);
    let rename = products.rename(7, "quill".to_owned()).idempotency_key("a");
    let renamed = tokio::spawn(rename.into_future());
    sleep(Duration::from_secs(5)).await;
    assert!(!renamed.is_finished());
    assert_eq!(told(products.name(7)).await, ("pen".to_owned(), Hit));
    faults.no_invalidation.store(false, Ordering::SeqCst);
    renamed.await.unwrap().unwrap();
    assert_eq!(told(products.name(7)).await, ("quill".to_owned(), Miss));
}

/// The same contract in two releases: the type of the answer has got a field.
mod before {
    use super::{Deserialize, Never, Serialize, queue_handler};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Item {
        pub name: String,
    }

    #[queue_handler("item.requests")]
    pub trait Items {
        #[query(cache = "1h")]
        async fn item(&self) -> Result<Item, Never>;
    }
}

mod after {
    use super::{Deserialize, Never, Serialize, queue_handler};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Item {
        pub name: String,
        pub price: u32,
    }

    #[queue_handler("item.requests")]
    pub trait Items {
        #[query(cache = "1h")]
        async fn item(&self) -> Result<Item, Never>;
    }
}

struct Old;
struct New;

impl before::Items for Old {
    async fn item(&self) -> Result<before::Item, Never> {
        let name = "pen".to_owned();
        Ok(before::Item { name })
    }
}

impl after::Items for New {
    async fn item(&self) -> Result<after::Item, Never> {
        let (name, price) = ("pen".to_owned(), 5);
        Ok(after::Item { name, price })
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_kept_by_an_older_release_is_asked_anew_if_it_can_not_be_read() {
    let bus = Bus::in_memory();
    let serving = bus.serve(before::ItemsServer::new(Old)).await.unwrap();
    let (old, new) = (
        before::ItemsClient::new(&bus),
        after::ItemsClient::new(&bus),
    );
    assert_eq!(status(old.item()).await, Miss);
    serving.shutdown().await.unwrap();
    let _serving = bus.serve(after::ItemsServer::new(New)).await.unwrap();
    let (item, status_of_new) = told(new.item()).await;
    assert_eq!((item.price, status_of_new), (5, Refreshed));
    assert_eq!(new.item().await.unwrap().price, 5);
    assert_eq!(status(new.item()).await, Hit);
    // What the new one kept the old one can read.
    assert_eq!(told(old.item()).await.1, Hit);
}
