//! Articles on the dashboard, which asks nobody for them.

use crate::stage::Stage;
use serde_json::json;
use shop::ServiceName::{OrderService, ProductService, UserService};
use town::wait::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn articles_are_shown_without_the_service_that_has_them() {
    let mut stage = Stage::new("sqlite::memory:").await;
    let _users = stage.start(UserService).await;
    let products = stage.start(ProductService).await;
    let ada = stage.client.user("ada").await;
    let pen = ada.product(json!(10), 10).await;
    let article = json!({ "title": "Blue or black?", "content": "Blue.", "product_ids": [pen] });
    ada.post(ProductService, "/articles", article)
        .await
        .with(201);
    let path = format!("/products/{pen}");
    let renamed = ada.put(ProductService, &path, json!({ "name": "quill" }));
    renamed.await.with(200);

    // Who shows it comes later, and is told of all that was.
    let _orders = stage.start(OrderService).await;
    let ada = ada.at(&stage.client);
    let expected = json!([{ "id": 1, "author_name": "ada", "title": "Blue or black?",
        "products": [{ "id": pen, "name": "quill" }] }]);
    let is_shown = async || {
        let shown = ada.get(OrderService, "/dashboard").await.with(200);
        (shown["articles"]["latest"] == expected).then_some(shown)
    };
    let shown = eventually("the dashboard has it", is_shown).await;
    assert_eq!(shown["failed"], json!(["notifications"]));

    products.stop().await;
    let shown = is_shown().await.expect("it needs nobody else");
    assert_eq!(shown["failed"], json!(["products", "notifications"]));
}
