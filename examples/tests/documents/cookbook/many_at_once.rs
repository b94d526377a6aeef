use super::stock::{Outcome, serve};

#[tokio::test]
async fn many_calls_are_made_at_once() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (_serving, stock) = serve(&bus).await?;

    let articles = (0..500).map(|number| match number % 2 {
        0 => "pen".to_owned(),
        _ => format!("article {number}"),
    });
    let counts = replybus::join(articles.map(|article| stock.count(article))).await;
    let mut in_stock = 0;
    for count in counts {
        in_stock += u32::from(count? > 0); // a result for each; one that fails fails alone
    }
    assert_eq!(in_stock, 250);

    let (pens, inks) = tokio::join!(
        stock.count("pen".to_owned()).into_future(), // of different kinds, or services
        stock.count("ink".to_owned()).into_future(),
    );
    assert_eq!((pens?, inks?), (10, 0));
    Ok(())
}
