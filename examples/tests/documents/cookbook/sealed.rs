use super::stock::Outcome;

use replybus::queue_handler;
use replybus::sealed::{OpeningKey, Sealed};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("refused")]
pub struct Refused;

#[queue_handler("till.requests")]
pub trait Till {
    async fn charge(&self, order: u64, card: Sealed<String>) -> Result<(), Refused>;
}

struct CardReader {
    key: OpeningKey,
}

impl Till for CardReader {
    async fn charge(&self, order: u64, card: Sealed<String>) -> Result<(), Refused> {
        let card = card.open(&self.key, &format!("charge {order}"));
        let card = card.map_err(|_| Refused)?; // altered, or of another order
        card.ends_with("1111").then_some(()).ok_or(Refused)
    }
}

/// As `openssl genpkey -algorithm x25519` writes it.
fn read_key() -> &'static str {
    "-----BEGIN PRIVATE KEY-----\n\
     MC4CAQAwBQYDK2VuBCIEIDB9NuwlRooeiqFNM5a10DzrvZ8Dd/cKwbSY47JI10Jo\n\
     -----END PRIVATE KEY-----\n"
}

#[tokio::test]
async fn what_is_sealed_is_read_by_its_service_alone() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let key = OpeningKey::from_pem("till-1", read_key())?;
    let public = key.sealing_key(); // callers: SealingKey::from_pem
    let _serving = bus.serve(TillServer::new(CardReader { key })).await?;

    let till = TillClient::new(&bus);
    let card = Sealed::new(&"4111111111111111".to_owned(), &public, "charge 17")?;
    let charge = || till.charge(17, card.clone()).idempotency_key("order-17");
    charge().await?;
    charge().await?; // with the same bytes: sealed once

    assert!(till.charge(18, card.clone()).await.is_err());

    till.charge(18, card).send().await?; // it becomes a dead letter
    let dead = || bus.inspect("till.requests.dead");
    while dead().await?.map(|queue| queue.waiting) != Some(1) {
        tokio::task::yield_now().await;
    }
    let page = bus.dead_letters("till.requests").list(0..1).await?;
    let kept = page
        .letters
        .first()
        .map(|letter| letter.message().body.to_vec());
    let is_read = |body: Vec<u8>| body.windows(8).any(|part| part == b"41111111");
    assert_eq!(kept.map(is_read), Some(false));
    Ok(())
}
