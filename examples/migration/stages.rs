//! One service moves while its callers go on, service first or callers first. Each caller deposits 1,
//! or orders one, again and again: an answer that is not one more than the last one tells of a deposit
//! that was lost or made twice.

use super::{
    contract::{AccountsClient, AccountsError},
    orders::{OrderError, OrdersClient},
    place::Place,
    polled::producer::{Producer, Reply},
    program::Program,
    reply_to::caller::{Caller as LapinCaller, Request},
};
use anyhow::{Context as _, ensure};
use futures_util::TryStreamExt as _;
use replybus::{Bus, CallError, CallId};
use serde_json::json;
use std::{future::Future, time::Duration};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How many answers a caller has to get in a stage.
const ANSWERS: i64 = 20;
/// A stage takes less than a second; a server that is busy with other tests may take longer.
const STAGE_WITHIN: Duration = Duration::from_secs(60);
/// So may a call.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// What a caller can do, old or new.
pub(crate) trait Calls: Send + Sync + 'static {
    /// The text of the error of what nobody has.
    const REFUSAL: &'static str = "no such account";

    /// Deposits 1, or orders one more; returns how many there are.
    fn once_more(&self, account: &str) -> impl Future<Output = anyhow::Result<i64>> + Send;
    /// Why it is not told of what nobody has.
    fn refused(&self) -> impl Future<Output = anyhow::Result<String>> + Send;
}

/// What was there before, a bridge each way, and what comes.
pub(crate) trait Old {
    type Caller: Calls;
    type NewCaller: Calls;
    async fn caller(place: &Place) -> anyhow::Result<Self::Caller>;
    async fn worker(place: &Place) -> anyhow::Result<Program>;
    async fn from_old(place: &Place) -> anyhow::Result<Program>;
    async fn to_old(place: &Place) -> anyhow::Result<Program>;
    async fn service(place: &Place) -> anyhow::Result<Program>;
    fn new_caller(bus: &Bus, place: &Place) -> Self::NewCaller;
}

impl Calls for Producer {
    async fn once_more(&self, account: &str) -> anyhow::Result<i64> {
        let request = json!({"method": "deposit", "account": account, "amount": 1});
        match self.call(&CallId::new().to_string(), &request).await? {
            Reply::Ok(balance) => Ok(balance),
            Reply::Error(error) => Err(error.into()),
        }
    }

    async fn refused(&self) -> anyhow::Result<String> {
        let request = json!({"method": "balance", "account": "nobody"});
        match self.call(&CallId::new().to_string(), &request).await? {
            Reply::Ok(balance) => anyhow::bail!("{balance}"),
            Reply::Error(error) => Ok(error.to_string()),
        }
    }
}

impl Calls for LapinCaller {
    async fn once_more(&self, account: &str) -> anyhow::Result<i64> {
        let account = account.to_owned();
        let request = Request::Deposit { account, amount: 1 };
        let reply = self.call(&CallId::new().to_string(), &request).await?;
        reply.map_err(anyhow::Error::msg)
    }

    async fn refused(&self) -> anyhow::Result<String> {
        let account = "nobody".to_owned();
        let request = Request::Balance { account };
        let reply = self.call(&CallId::new().to_string(), &request).await?;
        reply.err().context("there is a balance")
    }
}

impl Calls for AccountsClient {
    async fn once_more(&self, account: &str) -> anyhow::Result<i64> {
        Ok(AccountsClient::deposit(self, account.to_owned(), 1).await?)
    }

    async fn refused(&self) -> anyhow::Result<String> {
        match self.balance("nobody".to_owned()).await {
            Err(CallError::Handler(error @ AccountsError::NoAccount)) => Ok(error.to_string()),
            other => anyhow::bail!("{other:?}"),
        }
    }
}

impl Calls for OrdersClient {
    const REFUSAL: &'static str = "there is no order 0";

    async fn once_more(&self, account: &str) -> anyhow::Result<i64> {
        let placing = self.place_order(account.to_owned(), 1);
        let placed = placing
            .idempotency_key(CallId::new().to_string())
            .timeout(ANSWERED_WITHIN)
            .await?;
        ensure!(self.get_order(placed.id).await? == placed);
        let listed = self.list_orders(account.to_owned()).await?;
        let listed: Vec<_> = listed.try_collect().await?;
        ensure!(listed.last() == Some(&placed), "{placed:?} is not the last");
        Ok(i64::try_from(listed.len())?)
    }

    async fn refused(&self) -> anyhow::Result<String> {
        match self.get_order(0).await {
            Err(CallError::Handler(error @ OrderError::NotFound { .. })) => Ok(error.to_string()),
            other => anyhow::bail!("{other:?}"),
        }
    }
}

/// A caller that does not rest.
struct Busy {
    answers: watch::Receiver<i64>,
    stop: watch::Sender<bool>,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Busy {
    fn begin<C: Calls>(caller: C, account: &'static str) -> Self {
        let (counted, answers) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let ended = tokio::spawn(async move {
            while !*stopped.borrow() {
                let balance = caller.once_more(account).await?;
                let expected = *counted.borrow() + 1;
                ensure!(balance == expected, "{account}: {balance}, not {expected}");
                counted.send_replace(balance);
                let refused = caller.refused().await?;
                ensure!(refused == C::REFUSAL, "{account}: {refused}");
                sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        });
        Self {
            answers,
            stop,
            ended,
        }
    }

    /// Waits for more answers; if none come, says why.
    async fn goes_on(&mut self) -> anyhow::Result<()> {
        let enough = *self.answers.borrow() + ANSWERS;
        let answered = self.answers.wait_for(|answers| *answers >= enough);
        let answered = timeout(STAGE_WITHIN, answered).await.map(|it| it.is_ok());
        match answered {
            Ok(true) => Ok(()),
            Ok(false) => (&mut self.ended).await?,
            Err(_) => anyhow::bail!("no answers within {STAGE_WITHIN:?}"),
        }
    }

    async fn end(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        timeout(STAGE_WITHIN, self.ended).await??
    }
}

/// The service moves first; callers follow, one by one.
pub(crate) async fn service_first<O: Old>(place: &Place) -> anyhow::Result<()> {
    let worker = O::worker(place).await?;
    let mut old = Busy::begin(O::caller(place).await?, "ada");
    old.goes_on().await?;

    let service = O::service(place).await?;
    let bridge = O::from_old(place).await?; // from now on both answer
    old.goes_on().await?;
    worker.stop().await?; // and now only the service
    old.goes_on().await?;

    let bus = place.bus().await?;
    let mut new = Busy::begin(O::new_caller(&bus, place), "bob");
    new.goes_on().await?;
    old.end().await?; // the last caller has moved
    bridge.stop().await?;
    new.goes_on().await?;

    new.end().await?;
    bus.close(Duration::from_secs(5)).await;
    service.stop().await
}

/// Callers move first, one by one; the service follows.
pub(crate) async fn callers_first<O: Old>(place: &Place) -> anyhow::Result<()> {
    let worker = O::worker(place).await?;
    let mut old = Busy::begin(O::caller(place).await?, "ada");
    let bridge = O::to_old(place).await?;
    old.goes_on().await?;

    let bus = place.bus().await?;
    let mut new = Busy::begin(O::new_caller(&bus, place), "bob");
    new.goes_on().await?; // beside the old ones, from the same workers
    old.end().await?; // the last caller has moved

    let service = O::service(place).await?; // on the queue that the bridge serves
    new.goes_on().await?;
    bridge.stop().await?;
    new.goes_on().await?;
    worker.stop().await?;
    new.goes_on().await?;

    new.end().await?;
    bus.close(Duration::from_secs(5)).await;
    service.stop().await
}
