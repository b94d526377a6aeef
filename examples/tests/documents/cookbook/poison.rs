use super::stock::Outcome;

use replybus::{Bus, FailureKind, Never, queue_handler};

#[queue_handler("parser.requests")]
pub trait Parser {
    async fn parse(&self, text: String) -> Result<usize, Never>;
}

struct Fragile;

impl Parser for Fragile {
    async fn parse(&self, text: String) -> Result<usize, Never> {
        assert!(text != "poison", "nobody thought of this text");
        Ok(text.len())
    }
}

#[tokio::test]
async fn a_message_that_no_handler_can_do_stops_nothing() -> Outcome {
    let bus = Bus::in_memory();
    let _serving = bus.serve(ParserServer::new(Fragile)).await?;
    let parser = ParserClient::new(&bus);

    let failure = parser.parse("poison".to_owned()).await.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::Panicked)); // its caller is told,
    assert_eq!(parser.parse("fine".to_owned()).await?, 4); // others are served,

    let dead = || bus.inspect("parser.requests.dead");
    while dead().await?.map(|queue| queue.waiting) != Some(1) {
        tokio::task::yield_now().await;
    }
    let letters = bus.dead_letters("parser.requests").list(0..10).await?;
    assert_eq!(letters.letters[0].reason(), "panicked"); // and the message is kept
    Ok(())
}
