//! The product service without its Redis.

use crate::{client::Client, stage::settings};
use chassis::settings::Secret;
use replybus_testkit::{
    live::require_or_skip,
    servers::{Persistence, PrivateRedis},
};
use serde_json::json;
use shop::{
    Platform,
    ServiceName::{ProductService, UserService},
    Shop,
};
use town::wait::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_products_are_served_and_nothing_stale_afterwards() {
    let started = PrivateRedis::start(Persistence::AppendOnly).await;
    let Some(mut redis) = require_or_skip(started) else {
        return;
    };
    let mut settings = settings();
    settings.redis_url = Some(Secret::new(redis.url()));
    let platform = Platform::connect(settings).await.unwrap();
    let shop = Shop::start(&platform, &[UserService, ProductService])
        .await
        .unwrap();
    let client = Client::new(shop.addresses.clone());
    let ada = client.user("ada").await;
    let product = ada.product(json!(19.99), 10).await;
    let path = format!("/products/{product}");
    let see = async || {
        let seen = client.get(ProductService, &path).await;
        assert_eq!(seen.status, 200, "{}", seen.body);
        (seen.cache.unwrap(), seen.body["price"].to_string())
    };
    let seen = |cache: &str, price: &str| (cache.to_owned(), price.to_owned());
    assert_eq!(see().await, seen("MISS", "19.99"));
    assert_eq!(see().await, seen("HIT", "19.99"));

    redis.stop().await;
    assert_eq!(see().await, seen("MISS", "19.99"));
    eventually("it is said", async || {
        let health = client.get(ProductService, "/health").await.with(200);
        (health["redis"] == "down" && health["status"] == "degraded").then_some(())
    })
    .await;
    ada.put(ProductService, &path, json!({ "price": 5.5 }))
        .await
        .with(200);
    assert_eq!(see().await, seen("MISS", "5.5"));

    // It still holds what was true before.
    redis.restart().await.unwrap();
    eventually("it is cached again", async || {
        let (cache, price) = see().await;
        assert_eq!(price, "5.5");
        (cache == "HIT").then_some(())
    })
    .await;
    shop.running.stop().await;
}
