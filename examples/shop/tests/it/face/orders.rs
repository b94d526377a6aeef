//! Orders, as clients see them.

use crate::client::{Client, answer};
use reqwest::Method;
use serde_json::json;
use shop::ServiceName::OrderService;

/// Buys of a product of which there are 10, at 20 each.
pub(super) async fn orders(nobody: &Client, ada: &Client, bob: &Client, product: i64) {
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
