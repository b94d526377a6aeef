use super::stock::{Outcome, SoldOut, serve};

#[tokio::test]
async fn an_answer_is_fetched_by_another_process() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (_serving, stock) = serve(&bus).await?;

    use replybus::Ticket;

    let ticket = stock.take("pen".to_owned(), 3).submit().await?;
    let text = serde_json::to_string(&ticket)?; // into a row, a cookie, the answer of an HTTP 202

    // In another process, at another time: the type of the ticket is that of the method's result.
    let ticket: Ticket<Result<u32, SoldOut>> = serde_json::from_str(&text)?;
    assert_eq!(ticket.wait(&bus).await?, 7);
    Ok(())
}
