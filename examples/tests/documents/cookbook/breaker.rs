use super::stock::{Outcome, serve};

#[tokio::test]
async fn what_fails_is_not_asked_for_a_while() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (_serving, stock) = serve(&bus).await?;

    use replybus::{FailureKind, client::BreakerLayer};
    use std::time::Duration;

    let breaker = BreakerLayer::new()
        .failures(2)
        .open_for(Duration::from_secs(30));
    let stock = stock.layer(breaker.clone()); // or Bus::builder().client_layer(..) for all clients
    let slow = || {
        stock
            .count("truck".to_owned())
            .timeout(Duration::from_millis(200))
    };
    assert_eq!(
        slow().await.unwrap_err().kind(),
        Some(FailureKind::TimedOut)
    );
    assert_eq!(
        slow().await.unwrap_err().kind(),
        Some(FailureKind::TimedOut)
    );
    let refused = stock.count("pen".to_owned()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(FailureKind::CircuitOpen)); // asked nobody

    assert!(breaker.reset("stock.requests", "count"));
    assert_eq!(stock.count("pen".to_owned()).await?, 10);
    Ok(())
}
