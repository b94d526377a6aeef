use super::stock::{Outcome, serve};

#[tokio::test]
async fn a_call_is_sent_and_not_waited_for() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (_serving, stock) = serve(&bus).await?;

    let id = stock.take("pen".to_owned(), 3).send().await?; // the broker has it, on its disk

    assert!(!id.to_string().is_empty());
    while stock.count("pen".to_owned()).await? != 7 {
        tokio::task::yield_now().await;
    }
    Ok(())
}
