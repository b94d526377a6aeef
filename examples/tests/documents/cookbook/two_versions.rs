use super::stock::Outcome;
use replybus::{Bus, FailureKind};

/// What callers were built with that are not deployed yet.
mod old {
    use replybus::{Never, queue_handler};

    #[queue_handler("rates.requests")]
    pub trait Rates {
        #[query]
        async fn rate(&self, currency: String) -> Result<u64, Never>;
    }
}

/// The next version: an argument that is an `Option`, and a method beside.
mod new {
    use replybus::{Never, queue_handler};

    #[queue_handler("rates.requests")]
    pub trait Rates {
        #[query]
        async fn rate(&self, currency: String, day: Option<u32>) -> Result<u64, Never>;

        #[query]
        async fn currencies(&self) -> Result<Vec<String>, Never>;
    }
}

struct OldBoard;

impl old::Rates for OldBoard {
    async fn rate(&self, _: String) -> Result<u64, replybus::Never> {
        Ok(117)
    }
}

struct NewBoard;

impl new::Rates for NewBoard {
    async fn rate(&self, _: String, day: Option<u32>) -> Result<u64, replybus::Never> {
        Ok(117 + u64::from(day.unwrap_or_default()))
    }

    async fn currencies(&self) -> Result<Vec<String>, replybus::Never> {
        Ok(vec!["USD".to_owned()])
    }
}

#[tokio::test]
async fn two_versions_run_side_by_side() -> Outcome {
    let bus = Bus::in_memory();
    let usd = || "USD".to_owned();

    // Services first: an old caller is understood by the new service,
    let serving = bus.serve(new::RatesServer::new(NewBoard)).await?;
    assert_eq!(old::RatesClient::new(&bus).rate(usd()).await?, 117);
    serving.shutdown().await?;
    // and a new caller that meets an old service is told what that does not know.
    let _serving = bus.serve(old::RatesServer::new(OldBoard)).await?;
    let rates = new::RatesClient::new(&bus);
    assert_eq!(rates.rate(usd(), Some(3)).await?, 117); // the day is ignored
    let unknown = rates.currencies().await.unwrap_err();
    assert_eq!(unknown.kind(), Some(FailureKind::UnknownMethod));
    Ok(())
}
