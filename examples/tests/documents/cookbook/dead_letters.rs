use super::stock::{Outcome, serve};

#[tokio::test]
async fn what_failed_is_looked_at_and_put_back() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (_serving, stock) = serve(&bus).await?;
    stock.take("ink".to_owned(), 1).send().await?; // nobody waits, so somebody has to learn of it
    let dead = || bus.inspect("stock.requests.dead");
    while dead().await?.map(|queue| queue.waiting) != Some(1) {
        tokio::task::yield_now().await;
    }

    let letters = bus.dead_letters("stock.requests");
    let page = letters.list(0..100).await?; // takes none of them away
    for letter in &page.letters {
        println!("{} {}: {}", letter.name(), letter.reason(), letter.error());
        let arguments: serde_json::Value = letter.arguments()?;
        assert_eq!(
            arguments,
            serde_json::json!({"article": "ink", "pieces": 1})
        );
    }
    let wanted = letters.redrive(|letter| letter.reason() == "panicked");
    assert_eq!(wanted.await?.redriven, 0);
    let purged = letters.purge(|letter| letter.reason() == "handler").await?;
    assert_eq!((page.total, purged), (1, 1));
    Ok(())
}
