//! Callers and services of one queue with different contracts.

use replybus::{
    Bus, CallError, CallFailure, ContentType, Context, FailureKind, Never, client::ServiceClient,
    contract::LearnedContract, queue_handler, stream::Items,
};
use std::collections::BTreeMap;

mod old {
    use super::*;

    #[queue_handler("till.requests")]
    pub(super) trait Till {
        #[query]
        async fn price(&self, article: String) -> Result<u64, Never>;
        async fn pay(&self, amount: u64) -> Result<u64, Never>;
        #[stream]
        async fn entries(&self, since: String) -> Result<Items<u64, Never>, Never>;
        #[query]
        async fn same(&self, number: u8) -> Result<u8, Never>;
    }
}

mod new {
    use super::*;

    #[queue_handler("till.requests")]
    pub(super) trait Till {
        #[query]
        async fn price(&self, article: String, currency: String) -> Result<u64, Never>;
        async fn pay(&self, amount: String) -> Result<u64, Never>;
        #[stream]
        async fn entries(&self, since: u64) -> Result<Items<u64, Never>, Never>;
        #[query]
        async fn same(&self, number: u8) -> Result<u8, Never>;
    }
}

struct Drawer;

impl new::Till for Drawer {
    async fn price(&self, _: String, _: String) -> Result<u64, Never> {
        Ok(5)
    }

    async fn pay(&self, _: String) -> Result<u64, Never> {
        Ok(5)
    }

    async fn entries(&self, _: u64) -> Result<Items<u64, Never>, Never> {
        Ok(Items::new(futures_util::stream::empty()))
    }

    async fn same(&self, number: u8) -> Result<u8, Never> {
        let _ = Context::current();
        Ok(number)
    }
}

#[track_caller]
fn failure<T: std::fmt::Debug, E: std::fmt::Debug>(called: Result<T, CallError<E>>) -> CallFailure {
    match called {
        Err(CallError::Bus(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn arguments_of_another_contract_are_a_mismatch_that_names_both() {
    let bus = Bus::in_memory();
    let serving = bus.serve(new::TillServer::new(Drawer)).await.unwrap();
    let contracts = (
        old::TillClient::CONTRACT,
        new::TillServer::<Drawer>::CONTRACT,
    );
    for content_type in [ContentType::MessagePack, ContentType::Json] {
        let till = old::TillClient::new(&bus).with_content_type(content_type);
        let price = failure(till.price("tea".into()).await);
        let pay = failure(till.pay(3).await);
        let entries = failure(till.entries("now".into()).await);
        for (failure, method) in [(price, "price"), (pay, "pay"), (entries, "entries")] {
            assert_eq!(failure.kind(), FailureKind::ContractMismatch, "{failure}");
            assert!(!failure.may_have_executed());
            let said = failure.contract_mismatch().unwrap();
            let of = |contract: &replybus::contract::ServiceContract| {
                contract.fingerprint(contract.method(method).unwrap().1)
            };
            assert_eq!(
                (said.caller, said.service),
                (of(contracts.0), of(contracts.1))
            );
            let text = failure.to_string();
            assert!(
                text.contains(": the service has another contract: arguments: "),
                "{text}"
            );
            assert!(text.contains(&said.caller.to_string()), "{text}");
            assert!(text.contains(&said.service.to_string()), "{text}");
        }
        assert_eq!(till.same(7).await.unwrap(), 7);
    }
    serving.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_of_types_or_has_the_same_contract_is_told_of_a_bad_request() {
    let bus = Bus::in_memory();
    let serving = bus.serve(new::TillServer::new(Drawer)).await.unwrap();
    let wrong = BTreeMap::from([("number", "seven")]);

    let learned = LearnedContract::new("Till", "till.requests")
        .query("same")
        .keep()
        .unwrap();
    let by_hand = ServiceClient::new(&bus, learned);
    let called = by_hand.call::<_, Result<u8, Never>>(0, &wrong).await;
    let refused = failure(called);
    assert_eq!(refused.kind(), FailureKind::BadRequest, "{refused}");
    assert_eq!(refused.contract_mismatch(), None);

    let same = ServiceClient::new(&bus, new::TillClient::CONTRACT);
    let (position, _) = new::TillClient::CONTRACT.method("same").unwrap();
    let refused = failure(same.call::<_, Result<u8, Never>>(position, &wrong).await);
    assert_eq!(refused.kind(), FailureKind::BadRequest, "{refused}");
    serving.shutdown().await.unwrap();
}
