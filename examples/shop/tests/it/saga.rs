//! What is true of stock and money when something fails, or many want the same.

use crate::{
    client::{Client, answer},
    stage::{Stage, embedded, on_servers, settings},
};
use chassis::{Database, database::migrator, settings::PlatformSettings};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use shop::{
    ServiceName, Shop,
    contracts::{ChargeError, Profile, Unavailable, Users, UsersServer},
};
use std::sync::Arc;
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Notify, Semaphore},
    task::JoinSet,
};
use town::{
    database::on_sqlite,
    wait::{eventually, soon},
};
use uuid::Uuid;

use ServiceName::{NotificationService, OrderService, ProductService, UserService};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_orders_for_ten_pieces_ten_are_made() {
    let test = async |nobody| many_orders_for_few_pieces(nobody, 100).await;
    embedded(settings(), test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_orders_for_ten_pieces_ten_are_made_on_servers() {
    // No more at once than a busy machine brings to their end within the time of a call.
    on_servers(async |nobody| many_orders_for_few_pieces(nobody, 20).await).await;
}

async fn many_orders_for_few_pieces(nobody: Client, at_once: usize) {
    let ada = nobody.user("ada").await;
    let product = ada.product(json!(19.99), 10).await;
    let mut orders = JoinSet::new();
    let turns = Arc::new(Semaphore::new(at_once));
    for _ in 0..100 {
        let (ada, turns) = (ada.clone(), Arc::clone(&turns));
        orders.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            ada.order(product, 1).await.status
        });
    }
    let mut statuses = orders.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses[..10], [201; 10]);
    assert_eq!(statuses[10..], [409; 90]);
    assert_eq!(ada.left(product).await, 0);
    assert_eq!(ada.credit().await, "999800.1");
}

/// A user service that is asked for money and says nothing until it may.
#[derive(Clone, Default)]
struct Silent {
    asked: Arc<Notify>,
    goes_on: Arc<Notify>,
}

impl Users for Silent {
    async fn profile(&self, _: i64) -> Result<Option<Profile>, Unavailable> {
        Err(Unavailable)
    }

    async fn charge(&self, _: Uuid, _: i64, _: i64) -> Result<(), ChargeError> {
        self.asked.notify_one();
        self.goes_on.notified().await;
        Err(Unavailable.into())
    }

    async fn refund(&self, _: Uuid) -> Result<(), Unavailable> {
        Err(Unavailable)
    }
}

impl Stage {
    /// The order service, as a process that can be killed.
    async fn start_orders(&mut self) -> Runtime {
        let process = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let platform = self.platform.clone();
        let started = process.spawn(async move { Shop::start(&platform, &[OrderService]).await });
        let shop = started.await.unwrap().unwrap();
        self.client.addresses.extend(shop.addresses.clone());
        // It is stopped by nobody.
        std::mem::forget(shop.running);
        process
    }

    /// As if the time had passed for which a process that died had leased what it was at work on.
    async fn let_leases_lapse(&self) {
        self.on_orders("UPDATE orders SET leased_until = 0").await;
    }

    /// Does something to the database of the order service, past it.
    async fn on_orders(&self, statement: &'static str) {
        let settings = PlatformSettings::with_database(&self.database);
        let database = Database::open(&settings, "shop_orders", &migrator(&[]))
            .await
            .unwrap();
        let done = sqlx::query(statement).execute(database.pool()).await;
        done.unwrap();
        database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_reserving_and_charging_an_order_is_finished_once() {
    on_sqlite(async |database| {
        let mut stage = Stage::new(database).await;
        let _products = stage.start(ProductService).await;
        let users = stage.start(UserService).await;
        let ada = stage.client.user("ada").await;
        let product = ada.product(json!(10), 10).await;
        users.stop().await;

        let silent = Silent::default();
        let server = UsersServer::new(silent.clone());
        let serving = stage.platform.bus.serve(server).await.unwrap();
        let process = stage.start_orders().await;
        let asking = ada.at(&stage.client);
        let order = json!({ "product_id": product, "quantity": 3 });
        let order = asking
            .request(Method::POST, OrderService, "/orders")
            .json(&order);
        let order = tokio::spawn(order.send());
        soon("it is asked for the money", silent.asked.notified()).await;
        process.shutdown_background();
        assert_eq!(ada.left(product).await, 7, "reserved");
        assert!(soon("no answer", order).await.unwrap().is_err());
        silent.goes_on.notify_one();
        serving.shutdown().await.unwrap();

        let _users = stage.start(UserService).await;
        stage.let_leases_lapse().await;
        let _orders = stage.start(OrderService).await;
        let ada = ada.at(&stage.client);
        let orders = eventually("the order is finished", async || {
            let orders = ada.get(OrderService, "/orders").await.with(200);
            (orders[0]["status"] == "confirmed").then_some(orders)
        })
        .await;
        assert_eq!(orders.as_array().unwrap().len(), 1);
        assert_eq!(ada.left(product).await, 7, "reserved once");
        assert_eq!(ada.credit().await, "999970.0", "charged once");
    })
    .await;
}

/// An order of three pieces, under a key that is always the same.
fn keyed(by: &Client, product: i64) -> RequestBuilder {
    let order = json!({ "product_id": product, "quantity": 3 });
    let request = by.request(Method::POST, OrderService, "/orders");
    request.header("Idempotency-Key", "once").json(&order)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_can_not_be_given_up_is_not_said_to_be() {
    on_sqlite(async |database| {
        let mut stage = Stage::new(database).await;
        let _products = stage.start(ProductService).await;
        let users = stage.start(UserService).await;
        let _orders = stage.start(OrderService).await;
        let ada = stage.client.user("ada").await;
        let product = ada.product(json!(10), 10).await;
        users.stop().await;

        let silent = Silent::default();
        let server = UsersServer::new(silent.clone());
        let serving = stage.platform.bus.serve(server).await.unwrap();
        let order = tokio::spawn(answer(keyed(&ada, product)));
        soon("it is asked for the money", silent.asked.notified()).await;
        stage
            .on_orders(
                "CREATE TRIGGER away BEFORE UPDATE ON orders
                BEGIN SELECT RAISE(FAIL, 'the database is away'); END",
            )
            .await;
        silent.goes_on.notify_one();
        let order = soon("an answer", order).await.unwrap().with(504);
        let detail = order["detail"].as_str().unwrap();
        assert!(detail.contains("Idempotency-Key"), "{detail}");
        serving.shutdown().await.unwrap();

        // It goes on when what it needs is there, and the key finds it.
        stage.on_orders("DROP TRIGGER away").await;
        let _users = stage.start(UserService).await;
        stage.let_leases_lapse().await;
        let ada = ada.at(&stage.client);
        let bought = eventually("it is bought", async || {
            let again = answer(keyed(&ada, product)).await;
            (again.body["status"] == "confirmed").then_some(again.body)
        })
        .await;
        let orders = ada.get(OrderService, "/orders").await.with(200);
        assert_eq!(orders, json!([bought]));
        assert_eq!(ada.left(product).await, 7);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_who_charges_nothing_is_bought_and_the_rest_goes_on() {
    let mut stage = Stage::new("sqlite::memory:").await;
    let _products = stage.start(ProductService).await;
    let users = stage.start(UserService).await;
    let _orders = stage.start(OrderService).await;
    let ada = stage.client.user("ada").await;
    let product = ada.product(json!(10), 10).await;
    users.stop().await;
    let ask = async || answer(keyed(&ada, product)).await;
    ask().await.with(503);
    let shown = ada.get(OrderService, "/dashboard").await.with(200);
    assert_eq!(shown["failed"], json!(["user", "notifications"]), "{shown}");
    assert_eq!(shown["products"]["products"], 1);

    let pieces = async || (ada.left(product).await == 10).then_some(());
    eventually("what was reserved is given back", pieces).await;

    // Its data is forgotten with it: nobody has a wallet.
    let _users = stage.start(UserService).await;
    assert_eq!(ask().await.status, 402, "the key is free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_can_not_go_on_keep_no_newer_one_back() {
    // More than are taken up in a second, after which those that were put off are due again.
    const BEGUN: &str = "INSERT INTO orders (id, order_key, user_id, username, product_id,
            product_name, quantity, unit_price, total_price, status, step, leased_until, created_at)
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100)
        SELECT n, '0190a1b2-c3d4-4e5f-8a9b-' || SUBSTR(CAST(1000000000000 + n AS TEXT), 2), 1,
            'ada', 1, 'pen', 1, 1, 1, CASE n WHEN 100 THEN 'pending' ELSE 'rejected' END,
            CASE n WHEN 100 THEN 'confirm' ELSE 'undo' END, 0, n
        FROM numbers";
    on_sqlite(async |database| {
        let mut stage = Stage::new(database).await;
        let _products = stage.start(ProductService).await;
        let users = stage.start(UserService).await;
        let _orders = stage.start(OrderService).await;
        let ada = stage.client.user("ada").await;
        users.stop().await;
        // Of the last one nothing is asked of who is away.
        stage.on_orders(BEGUN).await;
        eventually("the last one is confirmed", async || {
            let order = ada.get(OrderService, "/orders/100").await.with(200);
            (order["status"] == "confirmed").then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_becomes_free_while_it_is_looked_at_is_not_said_to_be_anothers() {
    on_sqlite(async |database| {
        let mut stage = Stage::new(database).await;
        let _products = stage.start(ProductService).await;
        let _users = stage.start(UserService).await;
        let _orders = stage.start(OrderService).await;
        let ada = stage.client.user("ada").await;
        let product = ada.product(json!(10), 10).await;
        let ask = async || answer(keyed(&ada, product)).await;
        // As it is when the order that has the key is given up between the two looks: nothing is
        // added, and nothing is found. At each look, and then at the first one alone.
        stage.on_orders("CREATE TABLE taken (times BIGINT)").await;
        stage.on_orders("INSERT INTO taken VALUES (2)").await;
        stage
            .on_orders(
                "CREATE TRIGGER taken BEFORE INSERT ON orders
                WHEN EXISTS (SELECT 1 FROM taken WHERE times > 0)
                BEGIN UPDATE taken SET times = times - 1; SELECT RAISE(IGNORE); END",
            )
            .await;
        ask().await.with(503);
        assert_eq!(ada.left(product).await, 10);
        stage.on_orders("UPDATE taken SET times = 1").await;
        let order = ask().await.with(201);
        assert_eq!(ask().await.with(201)["id"], order["id"]);
        assert_eq!(ada.left(product).await, 7);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_to_be_told_may_come_later() {
    let mut stage = Stage::new("sqlite::memory:").await;
    let mut running = Vec::new();
    for name in [UserService, ProductService, OrderService] {
        running.push(stage.start(name).await);
    }
    let ada = stage.client.user("ada").await;
    let product = ada.product(json!(10), 10).await;
    let order = ada.order(product, 1).await.with(201);
    running.push(stage.start(NotificationService).await);
    let ada = ada.at(&stage.client);
    let told = eventually("it is told", async || {
        let told = ada
            .get(NotificationService, "/notifications")
            .await
            .with(200);
        (!told.as_array()?.is_empty()).then_some(told)
    })
    .await;
    assert_eq!(told[0]["order_id"], order["id"]);
}
