//! Products, as clients see them.

use crate::client::{Answer, Client};
use serde_json::{Value, json};
use shop::ServiceName::ProductService;

/// Returns a product of which there are 10, at 20 each.
pub(super) async fn products(nobody: &Client, ada: &Client) -> i64 {
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
