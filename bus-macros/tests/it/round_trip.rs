//! Generated clients and servers on a bus in memory: what travels, and what happens when the two
//! ends were built from different versions of a contract.

use replybus::{Bus, CallError, ContentType, FailureKind, Never, queue_handler};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quote {
    currency: String,
    day: Option<u32>,
}

mod old {
    use super::*;

    #[queue_handler("rates")]
    pub(crate) trait Rates {
        #[query]
        async fn quote(&self, currency: String) -> Result<Quote, String>;
    }

    pub(crate) struct Service;

    impl Rates for Service {
        async fn quote(&self, currency: String) -> Result<Quote, String> {
            Ok(Quote {
                currency,
                day: None,
            })
        }
    }
}

mod new {
    use super::*;

    /// More methods and another argument, in front of what there was.
    #[queue_handler("rates")]
    pub(crate) trait Rates {
        #[query]
        async fn r#match(&self, r#type: u8) -> Result<u8, Never>;

        #[query]
        async fn quote(&self, day: Option<u32>, currency: String) -> Result<Quote, String>;

        async fn refresh(&self) -> Result<(), String>;
    }

    pub(crate) struct Service;

    impl Rates for Service {
        async fn r#match(&self, r#type: u8) -> Result<u8, Never> {
            Ok(r#type)
        }

        async fn quote(&self, day: Option<u32>, currency: String) -> Result<Quote, String> {
            Ok(Quote { currency, day })
        }

        async fn refresh(&self) -> Result<(), String> {
            Err("no source".to_owned())
        }
    }
}

/// The same arguments under another type, as a careless edit would leave them.
mod changed {
    use super::*;

    #[queue_handler("rates")]
    pub(crate) trait Rates {
        #[query]
        async fn quote(&self, currency: u64) -> Result<Quote, String>;
    }
}

const ENCODINGS: [ContentType; 2] = [ContentType::MessagePack, ContentType::Json];

fn quote(day: Option<u32>) -> Quote {
    Quote {
        currency: "EUR".to_owned(),
        day,
    }
}

#[tokio::test]
async fn a_service_that_others_hold_too_is_served_as_it_is() {
    use new::{RatesClient, RatesServer, Service};
    let bus = Bus::in_memory();
    let service = std::sync::Arc::new(Service);
    let server = RatesServer::new(std::sync::Arc::clone(&service));
    let _serving = bus.serve(server).await.unwrap();
    let rates = RatesClient::new(&bus);
    assert_eq!(rates.r#match(7).await.unwrap(), 7);
    assert_eq!(rates.quote(None, "EUR".into()).await.unwrap(), quote(None));
    drop(service);
}

#[tokio::test]
async fn calls_reach_their_methods() {
    use new::{RatesClient, RatesServer, Service};
    let bus = Bus::in_memory();
    let _serving = bus.serve(RatesServer::new(Service)).await.unwrap();
    for encoding in ENCODINGS {
        let rates = RatesClient::new(&bus).with_content_type(encoding);
        assert_eq!(rates.r#match(7).await.unwrap(), 7);
        let answer = rates.quote(Some(1), "EUR".to_owned()).await.unwrap();
        assert_eq!(answer, quote(Some(1)));
        let error = rates.refresh().await.unwrap_err();
        assert_eq!(error.handler().map(String::as_str), Some("no source"));
    }
}

#[tokio::test]
async fn an_old_client_calls_a_new_server() {
    let bus = Bus::in_memory();
    let server = new::RatesServer::new(new::Service);
    let _serving = bus.serve(server).await.unwrap();
    for encoding in ENCODINGS {
        let rates = old::RatesClient::new(&bus).with_content_type(encoding);
        assert_eq!(rates.quote("EUR".to_owned()).await.unwrap(), quote(None));
    }
}

#[tokio::test]
async fn a_new_client_calls_an_old_server() {
    let bus = Bus::in_memory();
    let server = old::RatesServer::new(old::Service);
    let _serving = bus.serve(server).await.unwrap();
    for encoding in ENCODINGS {
        let rates = new::RatesClient::new(&bus).with_content_type(encoding);
        let answer = rates.quote(Some(1), "EUR".to_owned()).await.unwrap();
        assert_eq!(answer, quote(None));
        let error = rates.refresh().await.unwrap_err();
        assert_eq!(error.kind(), Some(FailureKind::UnknownMethod));
    }
}

#[tokio::test]
async fn arguments_of_another_type_are_refused() {
    let bus = Bus::in_memory();
    let server = old::RatesServer::new(old::Service);
    let _serving = bus.serve(server).await.unwrap();
    for encoding in ENCODINGS {
        let rates = changed::RatesClient::new(&bus).with_content_type(encoding);
        let error = rates.quote(1).await.unwrap_err();
        let CallError::Bus(failure) = error else {
            panic!("the handler ran");
        };
        assert_eq!(failure.kind(), FailureKind::ContractMismatch);
        assert!(failure.contract_mismatch().is_some());
        assert!(!failure.may_have_executed());
    }
}

#[tokio::test]
async fn a_service_is_called_on_another_queue() {
    use old::{RatesClient, RatesServer, Service};
    let bus = Bus::in_memory();
    let serve = bus
        .serve(RatesServer::new(Service))
        .on_queue("rates.tenant");
    let _serving = serve.await.unwrap();
    let rates = RatesClient::new(&bus);
    let here = rates.clone().on_queue("rates.tenant");
    assert_eq!(here.quote("EUR".to_owned()).await.unwrap(), quote(None));
    let error = rates.quote("EUR".to_owned()).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Unroutable));
}
