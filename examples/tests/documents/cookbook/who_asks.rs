use super::stock::{Outcome, Shelf, StockClient, StockServer};

use replybus::Bus;
use replybus::error::{BoxError, FaultCode};
use replybus::layer::{Next, from_fn};
use replybus::server::{Answer, Request, ServerService};

/// What a real one does with the token: looks into a session, or verifies a signature.
fn is_good(token: &str) -> bool {
    token == "open sesame"
}

async fn checked(request: Request, next: Next<ServerService>) -> Result<Answer, BoxError> {
    match request.context().metadata().get("token") {
        Some(token) if is_good(token) => next.run(request).await,
        _ => Ok(Answer::fault(
            FaultCode::Denied,
            "the token is missing or wrong",
        )),
    }
}

#[tokio::test]
async fn a_service_asks_who_calls() -> Outcome {
    let bus = Bus::in_memory();

    let serving = bus.serve(StockServer::new(Shelf::default()));
    let serving = serving.layer(from_fn(checked));
    let _serving = serving.secret_metadata(["token"]).await?; // not in dead letters

    let stock = StockClient::new(&bus);
    let count = stock
        .count("pen".to_owned())
        .metadata("token", "open sesame");
    assert_eq!(count.await?, 10);

    use replybus::FailureKind;

    let denied = stock.count("pen".to_owned()).await.unwrap_err();
    assert_eq!(denied.kind(), Some(FailureKind::Denied));
    assert!(!denied.may_have_executed());
    Ok(())
}
