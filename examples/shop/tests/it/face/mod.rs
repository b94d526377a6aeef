//! What clients see.

mod articles;
mod orders;
mod products;

use crate::{
    client::{Client, answer},
    stage::{embedded, on_servers, settings},
};
use reqwest::Method;
use serde_json::json;
use shop::ServiceName::{NotificationService, OrderService, ProductService, UserService};
use town::wait::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_see_the_same_shop_embedded() {
    embedded(settings(), async |client| {
        let health = client.get(ProductService, "/health").await.with(200);
        assert_eq!(health["status"], "healthy");
        for part in ["redis", "rabbitmq", "database"] {
            assert_eq!(health[part], "embedded");
        }
        look_around(client).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_see_the_same_shop_on_servers() {
    on_servers(async |client| {
        for service in [
            UserService,
            ProductService,
            OrderService,
            NotificationService,
        ] {
            let health = client.get(service, "/health").await.with(200);
            assert_eq!(health["service"], service.to_string());
            for part in ["redis", "rabbitmq", "database"] {
                assert_eq!(health[part], "up", "{health}");
            }
        }
        look_around(client).await;
    })
    .await;
}

async fn look_around(nobody: Client) {
    let ada = nobody.user("ada").await;
    users(&nobody, &ada).await;
    let product = products::products(&nobody, &ada).await;
    let bob = nobody.user("bob").await;
    orders::orders(&nobody, &ada, &bob, product).await;
    notifications(&nobody, &ada).await;
    articles::articles(&nobody, &ada, &bob, product).await;
    dashboard(&ada).await;
}

async fn users(nobody: &Client, ada: &Client) {
    let me = ada.get(UserService, "/me").await.with(200);
    assert_eq!(me["username"], "ada");
    assert_eq!(
        me["credit"].to_string(),
        "1000000.0",
        "as a float would read it"
    );
    let register = async |body| nobody.post(UserService, "/register", body).await.status;
    let credentials =
        |username: &str, password: &str| json!({ "username": username, "password": password });
    assert_eq!(register(credentials("Ada", "correct horse")).await, 409);
    for bad in [
        credentials("", "correct horse"),
        credentials("a\nb", "correct horse"),
        credentials("eve", "short"),
        json!({ "username": "eve" }),
        json!({ "username": 7, "password": "correct horse" }),
        json!([]),
    ] {
        assert_eq!(register(bad.clone()).await, 422, "{bad}");
    }
    let broken = nobody.request(Method::POST, UserService, "/register");
    assert_eq!(answer(broken.body("{\"username\":")).await.status, 400);
    for (username, password) in [("ada", "wrong"), ("eve", "correct horse"), ("%00", "x")] {
        nobody.login(username, password).await.with(401);
    }
    let unsaid = nobody.post(UserService, "/login", credentials("ada", "x"));
    assert_eq!(unsaid.await.status, 422, "not a form");
    nobody.get(UserService, "/me").await.with(401);
    nobody
        .with_token("a.b.c")
        .get(UserService, "/me")
        .await
        .with(401);
    nobody.get(UserService, "/nothing").await.with(404);
    nobody.delete(UserService, "/me").await.with(405);
}

async fn notifications(nobody: &Client, ada: &Client) {
    nobody
        .get(NotificationService, "/notifications")
        .await
        .with(401);
    let told = eventually("both orders are told of", async || {
        let told = ada
            .get(NotificationService, "/notifications")
            .await
            .with(200);
        (told.as_array()?.len() == 2 && told[0]["status"] != "pending").then_some(told)
    })
    .await;
    assert_eq!(told[0]["detail"], "not sent: no SMTP server set");
    assert!(
        told[1]["subject"]
            .as_str()
            .unwrap()
            .starts_with("Your order"),
        "{told}"
    );
    let preferences = async |body| ada.put(NotificationService, "/preferences", body).await;
    let wanted = preferences(json!({ "language": "vi" })).await.with(200);
    assert_eq!(
        wanted,
        json!({ "language": "vi", "enabled": true, "email": null })
    );
    assert_eq!(
        ada.get(NotificationService, "/preferences").await.with(200),
        wanted
    );
    preferences(json!({ "language": "xx" })).await.with(422);
    preferences(json!({ "email": "nowhere" })).await.with(422);
}

async fn dashboard(ada: &Client) {
    let shown = ada.get(OrderService, "/dashboard").await.with(200);
    assert_eq!(shown["failed"], json!([]), "{shown}");
    assert_eq!(shown["user"]["username"], "ada");
    assert_eq!(shown["orders"]["count"], 1);
    assert_eq!(shown["orders"]["latest"].as_array().unwrap().len(), 2);
    assert_eq!(shown["products"], json!({ "products": 2, "available": 2 }));
    assert_eq!(shown["notifications"], json!({ "sent": 0, "total": 2 }));
}
