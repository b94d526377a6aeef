use super::stock::{Outcome, SoldOut, serve};

#[tokio::test]
async fn what_is_asked_twice_is_done_once() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (_serving, stock) = serve(&bus).await?;

    use replybus::FailureKind;

    // The key belongs to the intention: the row of the order, the click of the user.
    let take = |pieces| {
        stock
            .take("pen".to_owned(), pieces)
            .idempotency_key("order-17")
    };
    assert_eq!(take(3).await?, 7);
    assert_eq!(take(3).await?, 7); // answered from the record; nothing is taken
    let other = take(4).await.unwrap_err();
    assert_eq!(other.kind(), Some(FailureKind::KeyConflict));

    assert_eq!(stock.count("pen".to_owned()).await?, 7);
    let refused = stock.take("pen".to_owned(), 8).await.unwrap_err();
    assert_eq!(refused.into_handler()?, SoldOut { left: 7 });
    Ok(())
}
