//! Keywords as names: on the wire they are without `r#`.
use replybus::queue_handler;

#[queue_handler("rates")]
pub trait Rates {
    #[query]
    async fn r#match(&self, r#type: String, r#in: Option<u8>) -> Result<u64, String>;
}

#[test]
fn keywords_travel_without_their_mark() {
    assert_eq!(RatesClient::CONTRACT.methods[0].name, "match");
    let _ = |bus| RatesClient::new(bus).r#match("spot".into(), None);
}
