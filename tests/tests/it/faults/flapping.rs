//! A sentinel that puts one replica after the other in the master's place, under load.

use super::{
    load::{Kind, Load},
    rig::{Ledger, Settings, drained, until},
};
use replybus_testkit::{
    live::require_or_skip,
    servers::{Persistence, PrivateRabbit, PrivateRedis, ServerError},
};
use std::time::Duration;

/// The deadline of calls of which some are not answered: their replies went with a master.
const WITHIN: Duration = Duration::from_secs(10);

/// The variable with the times that the master is killed, and then frozen: without it once.
const ROUNDS: &str = "FLAPPING_ROUNDS";

/// Two servers, and a sentinel that watches over them.
struct Watched {
    servers: [PrivateRedis; 2],
    sentinel: PrivateRedis,
}

impl Watched {
    async fn start() -> Result<Self, ServerError> {
        let first = PrivateRedis::start(Persistence::None).await?;
        let second = PrivateRedis::start(Persistence::None).await?;
        let settings = [
            format!("sentinel monitor ledger 127.0.0.1 {} 1", first.port()),
            "sentinel down-after-milliseconds ledger 500".to_owned(),
            // After twice this another failover may follow.
            "sentinel failover-timeout ledger 2000".to_owned(),
        ];
        let watched = Self {
            sentinel: PrivateRedis::set_up(|redis| redis.sentinel(&settings)).await?,
            servers: [first, second],
        };
        watched.follow(1, 0).await;
        Ok(watched)
    }

    /// Makes a server the replica of the other, and waits until it has all, and the sentinel knows.
    async fn follow(&self, replica: usize, master: usize) {
        let port = self.servers[master].port().to_string();
        until("the replica follows", || async {
            let server = &self.servers[replica];
            let asked = async {
                let info = server.cli(&["info", "replication"]).await?;
                if !info.contains(&format!("master_port:{port}")) {
                    server.cli(&["replicaof", "127.0.0.1", &port]).await?;
                }
                let replicas = ["sentinel", "replicas", "ledger"];
                Ok::<_, ServerError>((info, self.sentinel.cli(&replicas).await?))
            };
            let (info, known) = asked.await.map_err(|error| error.to_string())?;
            let follows = info.contains("master_link_status:up")
                && known.contains(&server.port().to_string())
                && !known.contains("s_down")
                && !known.contains("disconnected");
            follows.then_some(()).ok_or(format!("{info}\n{known}"))
        })
        .await;
    }

    /// Waits until the sentinel names this server.
    async fn is_master(&self, server: usize) {
        let port = self.servers[server].port().to_string();
        let asked = ["sentinel", "get-master-addr-by-name", "ledger"];
        until("the replica is the master", || async {
            let named = self.sentinel.cli(&asked).await;
            let named = named.map_err(|error| error.to_string())?;
            named.contains(&port).then_some(()).ok_or(named)
        })
        .await;
    }

    fn url(&self) -> String {
        format!("redis+sentinel://{}?master=ledger", self.sentinel.address())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_changes_its_mind_again_and_again() {
    let (watched, rabbit) = tokio::join!(Watched::start(), PrivateRabbit::start());
    let (Some(mut watched), Some(rabbit)) = (require_or_skip(watched), require_or_skip(rabbit))
    else {
        return;
    };
    let rounds = std::env::var(ROUNDS).map_or(1, |rounds| rounds.parse().unwrap());
    let servers = (rabbit.url(), watched.url());
    let ledger = Ledger::open(Settings::default(), servers.clone(), servers).await;

    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    for _ in 0..rounds {
        // Killed, it comes back with nothing; frozen, it still takes itself for the master.
        watched.servers[0].kill();
        watched.is_master(1).await;
        load.flows().await;
        watched.servers[0].restart().await.unwrap();
        watched.follow(0, 1).await;
        load.flows().await;
        watched.servers[1].freeze();
        watched.is_master(0).await;
        load.flows().await;
        watched.servers[1].thaw();
        watched.follow(1, 0).await;
        load.flows().await;
    }
    let mut account = load.stop().await;
    drained(&rabbit).await;
    // What a master had not passed on is forgotten, and with it that a key was used: its second call
    // can be run like a first.
    account.0.retain(|one| one.kind != Kind::KeyedCommand);
    account.is_true_of(&ledger.journal);
    ledger.comes_up().await;
    assert_eq!(ledger.caller.health().calls_waiting, 0);
}
