use super::stock::{Outcome, serve};

#[tokio::test]
async fn a_call_is_due_later() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (_serving, stock) = serve(&bus).await?;

    use std::time::Duration;

    let take = stock.take("pen".to_owned(), 3).idempotency_key("order-17");
    let ticket = take.submit_after(Duration::from_secs(1)).await?; // or send_after, send_at, submit_at
    assert_eq!(stock.count("pen".to_owned()).await?, 10);
    assert_eq!(ticket.wait(&bus).await?, 7);

    let never = stock.take("pen".to_owned(), 3);
    let never = never.submit_after(Duration::from_secs(3600)).await?;
    let cancelled = never.cancel(&bus).await?; // until it is due
    assert_eq!(cancelled, replybus::CancelOutcome::NeverStarted);
    Ok(())
}
