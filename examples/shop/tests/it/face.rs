//! What clients see.

use crate::{
    client::{Answer, Client, answer},
    stage::{embedded, on_servers, settings},
};
use reqwest::Method;
use serde_json::{Value, json};
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
    let product = products(&nobody, &ada).await;
    let bob = nobody.user("bob").await;
    orders(&nobody, &ada, &bob, product).await;
    notifications(&nobody, &ada).await;
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

async fn products(nobody: &Client, ada: &Client) -> i64 {
    let pen = json!({ "name": "pen", "description": "blue", "price": 19.99, "quantity": 10 });
    let create = async |client: &Client, body| client.post(ProductService, "/products", body).await;
    create(nobody, pen.clone()).await.with(401);
    let made = create(ada, pen.clone()).await.with(201);
    let id = made["id"].as_i64().unwrap();
    assert_eq!(made["price"].to_string(), "19.99");
    for (field, bad) in [
        ("price", json!(19.999)),
        ("price", json!(-1)),
        ("price", json!("19.99")),
        ("price", Value::Null),
        ("quantity", json!(-1)),
        ("quantity", json!(1.5)),
        ("name", json!("")),
        ("name", json!("a\0b")),
    ] {
        let mut pen = pen.clone();
        pen[field] = bad;
        assert_eq!(create(ada, pen.clone()).await.status, 422, "{pen}");
    }
    let path = format!("/products/{id}");
    let see = async |expected: &str| {
        let Answer { cache, body, .. } = nobody.get(ProductService, &path).await;
        assert_eq!(cache.as_deref(), Some(expected), "{body}");
        body
    };
    assert_eq!(see("MISS").await, made);
    assert_eq!(see("HIT").await, made);
    nobody
        .put(ProductService, &path, json!({ "price": 1 }))
        .await
        .with(401);
    let changed = ada
        .put(ProductService, &path, json!({ "price": 20 }))
        .await
        .with(200);
    assert_eq!(
        (&changed["name"], &changed["quantity"]),
        (&json!("pen"), &json!(10))
    );
    assert_eq!(see("MISS").await, changed);
    assert_eq!(see("HIT").await, changed);
    ada.put(ProductService, &path, json!({ "price": 0.001 }))
        .await
        .with(422);
    ada.put(ProductService, "/products/99999", json!({ "price": 1 }))
        .await
        .with(404);

    let other = ada.product(json!(5), 1).await;
    let list = nobody
        .get(ProductService, "/products?skip=1&limit=1")
        .await
        .with(200);
    assert_eq!(list[0]["id"], other);
    nobody
        .get(ProductService, "/products?limit=1000")
        .await
        .with(422);
    let path = format!("/products/{other}");
    nobody.get(ProductService, &path).await.with(200);
    nobody.delete(ProductService, &path).await.with(401);
    ada.delete(ProductService, &path).await.with(204);
    ada.delete(ProductService, &path).await.with(404);
    nobody.get(ProductService, &path).await.with(404);
    nobody.get(ProductService, "/products/pen").await.with(422);
    id
}

async fn orders(nobody: &Client, ada: &Client, bob: &Client, product: i64) {
    nobody.order(product, 1).await.with(401);
    for (product, quantity, status) in [(product, 0, 422), (99999, 1, 404), (product, 11, 409)] {
        ada.order(product, quantity).await.with(status);
    }
    let order = ada.order(product, 3).await.with(201);
    let id = &order["id"];
    assert_eq!(order["product_name"], "pen");
    assert_eq!(
        (&order["quantity"], &order["status"]),
        (&json!(3), &json!("confirmed"))
    );
    assert_eq!(order["unit_price"].to_string(), "20.0");
    assert_eq!(order["total_price"].to_string(), "60.0");
    assert!(order["created_at"].as_str().unwrap().ends_with('Z') && order["user_id"].is_i64());
    assert_eq!(ada.left(product).await, 7);
    assert_eq!(ada.credit().await, "999940.0");

    let path = format!("/orders/{id}");
    assert_eq!(ada.get(OrderService, &path).await.with(200), order);
    assert_eq!(
        ada.get(OrderService, "/orders").await.with(200),
        json!([order])
    );
    assert_eq!(bob.get(OrderService, "/orders").await.with(200), json!([]));
    bob.get(OrderService, &path).await.with(403);
    nobody.get(OrderService, &path).await.with(401);
    ada.get(OrderService, "/orders/99999").await.with(404);

    let turn = async |client: &Client, status: &str| {
        let body = json!({ "status": status });
        client.put(OrderService, &path, body).await
    };
    turn(bob, "shipped").await.with(403);
    turn(ada, "lost").await.with(422);
    turn(ada, "delivered").await.with(409);
    assert_eq!(turn(ada, "shipped").await.with(200)["status"], "shipped");
    turn(ada, "cancelled").await.with(409);

    let keyed = async |quantity| {
        let body = json!({ "product_id": product, "quantity": quantity });
        let request = ada.request(Method::POST, OrderService, "/orders");
        answer(request.header("Idempotency-Key", "once").json(&body)).await
    };
    let first = keyed(2).await.with(201);
    assert_eq!(keyed(2).await.with(201)["id"], first["id"]);
    keyed(1).await.with(409);
    assert_eq!(ada.left(product).await, 5);

    let path = format!("/orders/{}", first["id"]);
    let cancelled = ada.put(OrderService, &path, json!({ "status": "cancelled" }));
    assert_eq!(cancelled.await.with(200)["status"], "cancelled");
    assert_eq!(ada.left(product).await, 7, "given back");
    assert_eq!(ada.credit().await, "999940.0");

    let dear = ada.product(json!(1_000_000_000), 1).await;
    ada.order(dear, 1).await.with(402);
    assert_eq!(ada.left(dear).await, 1);
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
