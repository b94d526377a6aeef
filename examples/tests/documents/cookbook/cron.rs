use super::stock::{Outcome, serve};
use tokio::sync::mpsc::unbounded_channel;

#[tokio::test]
async fn work_is_due_again_and_again() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (_serving, stock) = serve(&bus).await?;
    let (says, mut said) = unbounded_channel();

    use replybus::schedule::{Missed, Tick};

    let counting = bus
        .schedule("stock.count", "* * * * * *", move |tick: Tick| {
            let (stock, says) = (stock.clone(), says.clone());
            async move {
                let take = stock.take("pen".to_owned(), 1).idempotency_key(tick.key());
                take.send().await?; // tried again and kept as any command, once for each tick
                let _ = says.send(tick.at());
                Ok::<_, replybus::CallFailure>(())
            }
        })
        .time_zone("Europe/Vienna")
        .missed(Missed::Once) // nobody was there for an hour: once, and not 3600 times
        .await?;

    said.recv().await.unwrap();
    counting.shutdown().await?;
    Ok(())
}
