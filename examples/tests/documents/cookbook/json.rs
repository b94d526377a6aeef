use super::stock::{Outcome, serve};

#[tokio::test]
async fn a_service_answers_in_the_encoding_it_is_asked_in() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (_serving, stock) = serve(&bus).await?;

    use replybus::ContentType;

    let stock = stock.with_content_type(ContentType::Json); // as callers in other languages speak
    assert_eq!(stock.take("pen".to_owned(), 3).await?, 7);
    Ok(())
}
