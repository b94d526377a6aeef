//! Articles, as clients see them.

use crate::client::Client;
use serde_json::{Value, json};
use shop::ServiceName::{OrderService, ProductService};
use town::wait::eventually;

/// Writes about a pen, which has another name afterwards.
pub(super) async fn articles(nobody: &Client, ada: &Client, bob: &Client, pen: i64) {
    let ink = ada.product(json!(5), 1).await;
    let article =
        json!({ "title": "Blue or black?", "content": "Blue.", "product_ids": [ink, pen, pen] });
    let write = async |client: &Client, body| client.post(ProductService, "/articles", body).await;
    write(nobody, article.clone()).await.with(401);
    let many: Vec<i64> = (1..=11).collect();
    for (field, bad) in [
        ("title", json!("")),
        ("title", json!("a\nb")),
        ("title", Value::Null),
        ("content", json!(" ")),
        ("content", json!("a\0b")),
        ("content", json!("a".repeat(10_001))),
        ("product_ids", json!([])),
        ("product_ids", json!(["pen"])),
        ("product_ids", json!(many)),
    ] {
        let mut article = article.clone();
        article[field] = bad;
        assert_eq!(write(ada, article.clone()).await.status, 422, "{article}");
    }
    let mut unknown = article.clone();
    unknown["product_ids"] = json!([pen, 99999]);
    let unknown = write(ada, unknown).await.with(404);
    assert_eq!(unknown["detail"], "Product 99999 not found");
    nobody
        .get(ProductService, "/articles/99999")
        .await
        .with(404);
    nobody.get(ProductService, "/articles/pen").await.with(422);
    let none = nobody.get(ProductService, "/articles").await.with(200);
    assert_eq!(none, json!([]), "what was refused is not there");

    let first = write(ada, article).await.with(201);
    assert_eq!(first["author_name"], "ada");
    assert!(first["author_id"].is_i64() && first["created_at"].is_string());
    assert_eq!(
        first["products"],
        json!([{ "id": pen, "name": "pen" }, { "id": ink, "name": "pen" }])
    );
    let second = json!({ "title": "Ink", "content": "It is\nblack.", "product_ids": [ink] });
    let second = write(bob, second).await.with(201);
    let list = async |query: &str| {
        let path = format!("/articles{query}");
        nobody.get(ProductService, &path).await.with(200)
    };
    assert_eq!(list("").await, json!([second, first]));
    assert_eq!(list("?limit=1").await, json!([second]));
    assert_eq!(list("?skip=1").await, json!([first]));

    let path = format!("/products/{pen}");
    let renamed = ada.put(ProductService, &path, json!({ "name": "quill" }));
    renamed.await.with(200);
    let path = format!("/products/{ink}");
    ada.delete(ProductService, &path).await.with(204);
    let path = format!("/articles/{}", first["id"]);
    let seen = nobody.get(ProductService, &path).await.with(200);
    let products = json!([{ "id": pen, "name": "quill" }, { "id": ink, "name": "pen" }]);
    assert_eq!(
        seen["products"], products,
        "what is not sold any more keeps its name"
    );

    let shown = eventually("the dashboard has them, with the new name", async || {
        let shown = ada.get(OrderService, "/dashboard").await.with(200);
        let articles = shown["articles"].clone();
        (articles["latest"][1]["products"] == products).then_some(articles)
    })
    .await;
    assert_eq!(shown["count"], 2);
    let names = |of: &Value| [&of["id"], &of["title"], &of["author_name"]].map(Value::clone);
    assert_eq!(names(&shown["latest"][0]), names(&second));
    assert_eq!(names(&shown["latest"][1]), names(&first));
}
