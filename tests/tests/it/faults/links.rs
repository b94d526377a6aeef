//! Connections are cut, and go dead without a word: those that publish, those that consume, those
//! that store replies and those that hear them, one kind at a time and all at once.

use super::{
    load::{Account, Load},
    rig::{Ledger, Rig, Settings},
};
use replybus_testkit::proxy::{Mode, Proxy};
use std::{net::SocketAddr, time::Duration};

/// Longer than any call takes here, on a machine that does much else.
const WITHIN: Duration = Duration::from_secs(100);

/// A bus whose every connection goes through a proxy. A caller only publishes and hears replies; a
/// worker only consumes and stores them.
struct Links {
    publishing: Proxy,
    consuming: Proxy,
    hearing: Proxy,
    storing: Proxy,
}

impl Links {
    async fn to(rig: &Rig) -> Self {
        let proxy = async |server: SocketAddr| Proxy::to(server).await.unwrap();
        Self {
            publishing: proxy(rig.rabbit.address()).await,
            consuming: proxy(rig.rabbit.address()).await,
            hearing: proxy(rig.redis.address()).await,
            storing: proxy(rig.redis.address()).await,
        }
    }

    async fn ledger(&self) -> Ledger {
        let amqp = |proxy: &Proxy| format!("amqp://guest:guest@{}/%2f", proxy.addr());
        let redis = |proxy: &Proxy| format!("redis://{}/0", proxy.addr());
        Ledger::open(
            Settings::quick(),
            (amqp(&self.publishing), redis(&self.hearing)),
            (amqp(&self.consuming), redis(&self.storing)),
        )
        .await
    }

    fn all(&self) -> [&Proxy; 4] {
        [
            &self.publishing,
            &self.consuming,
            &self.hearing,
            &self.storing,
        ]
    }
}

/// Breaks each kind of link in turn and then all at once, under load.
async fn broken(mode: Mode) {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let links = Links::to(rig).await;
    let ledger = links.ledger().await;
    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    for proxy in links.all() {
        let accepted = proxy.accepted();
        proxy.set(mode);
        load.flows().await;
        assert!(proxy.accepted() > accepted, "nothing was connected anew");
        proxy.set(Mode::Pass);
    }
    for proxy in links.all() {
        proxy.set(mode);
    }
    load.flows().await;
    settled(load.stop().await, &ledger).await;
}

/// With the servers up all the time, nobody fails at all.
async fn settled(account: Account, ledger: &Ledger) {
    account.all_went_well();
    account.are_done(&ledger.journal).await;
    account.is_true_of(&ledger.journal);
    assert_eq!(ledger.caller.health().calls_waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut() {
    broken(Mode::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open() {
    broken(Mode::SwallowOld).await;
}
