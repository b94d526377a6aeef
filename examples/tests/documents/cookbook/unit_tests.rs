use super::stock::{Shelf, SoldOut, Stock};

use replybus::{Context, Metadata};

#[tokio::test]
async fn a_handler_is_a_method() {
    let shelf = Shelf::default();
    assert_eq!(shelf.take("pen".to_owned(), 3).await, Ok(7));
    assert_eq!(
        shelf.take("pen".to_owned(), 8).await,
        Err(SoldOut { left: 7 })
    );

    // What it reads from the call that it serves, if it does.
    let mut metadata = Metadata::new();
    metadata.insert("tenant", "ada").unwrap();
    let context = Context::builder()
        .metadata(metadata)
        .idempotency_key("order-17")
        .build();
    let taken = context.scope(shelf.take("pen".to_owned(), 1)).await;
    assert_eq!(taken, Ok(6));
}
