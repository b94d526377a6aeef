//! Everything fails at once, at random.

use super::{
    load::Load,
    rig::{Ledger, Rig, Settings, connect},
};
use replybus::contract::QueueType;
use replybus_testkit::{
    proxy::{Mode, Proxy},
    servers::{Persistence, PrivateRabbit, PrivateRedis},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;

const WITHIN: Duration = Duration::from_secs(10);

/// A sequence that looks random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    async fn pause(&mut self) {
        sleep(Duration::from_millis(500 + self.below(2_500))).await;
    }
}

/// `NEMESIS_SEED` repeats the faults of a run, `NEMESIS_ROUNDS` sets how many there are of each
/// kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_once() {
    let Some(mut rig) = Rig::start(Persistence::AppendOnly).await else {
        return;
    };
    let setting = |name| Some(std::env::var(name).ok()?.parse::<u64>().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = setting("NEMESIS_SEED").unwrap_or(now.subsec_nanos().into());
    let rounds = setting("NEMESIS_ROUNDS").unwrap_or(5);
    println!("to run this again: NEMESIS_SEED={seed}");

    let mut proxies = Vec::new();
    for server in [rig.rabbit.address(), rig.redis.address()].repeat(2) {
        proxies.push(Proxy::to(server).await.unwrap());
    }
    let addresses = |side: usize| {
        (
            format!("amqp://guest:guest@{}/%2f", proxies[side * 2].addr()),
            format!("redis://{}/0", proxies[side * 2 + 1].addr()),
        )
    };
    let settings = Settings::quick();
    let mut ledger = Ledger::open(settings, addresses(0), addresses(1)).await;
    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    let worker = addresses(1);
    tokio::join!(
        break_rabbit(&mut rig.rabbit, Dice(seed), rounds),
        break_redis(&mut rig.redis, Dice(seed + 1), rounds),
        break_links(&proxies, Dice(seed + 2), rounds * 3),
        replace_worker(&mut ledger, &worker, Dice(seed + 3), rounds),
    );
    load.flows().await;
    let account = load.stop().await;
    rig.drained().await;
    account.is_true_of(&ledger.journal);
    ledger.comes_up().await;
    assert_eq!(ledger.caller.health().calls_waiting, 0);
}

async fn break_rabbit(rabbit: &mut PrivateRabbit, mut dice: Dice, rounds: u64) {
    for _ in 0..rounds {
        dice.pause().await;
        match dice.below(3) {
            0 => rabbit.restart().await.unwrap(),
            1 => {
                rabbit.freeze();
                dice.pause().await;
                rabbit.thaw();
            }
            _ => {
                rabbit.block_publishers().await.unwrap();
                dice.pause().await;
                rabbit.unblock_publishers().await.unwrap();
            }
        }
    }
}

async fn break_redis(redis: &mut PrivateRedis, mut dice: Dice, rounds: u64) {
    for _ in 0..rounds * 2 {
        dice.pause().await;
        if dice.below(2) == 0 {
            redis.restart().await.unwrap();
        } else {
            redis.freeze();
            dice.pause().await;
            redis.thaw();
        }
    }
}

async fn break_links(proxies: &[Proxy], mut dice: Dice, rounds: u64) {
    for _ in 0..rounds {
        dice.pause().await;
        let proxy = &proxies[usize::try_from(dice.below(4)).unwrap()];
        match dice.below(4) {
            0 => proxy.set(Mode::Cut),
            1 => proxy.set(Mode::SwallowOld),
            2 => proxy.set(Mode::Swallow),
            _ => proxy.set(Mode::Refuse),
        }
        dice.pause().await;
        proxy.set(Mode::Pass);
    }
}

async fn replace_worker(
    ledger: &mut Ledger,
    servers: &(String, String),
    mut dice: Dice,
    rounds: u64,
) {
    for _ in 0..rounds {
        dice.pause().await;
        let bus = connect(&ledger.namespace, Settings::quick(), servers).await;
        let serving = ledger.serve_on(&bus, QueueType::Classic).await;
        dice.pause().await;
        let old = std::mem::replace(&mut ledger.worker, bus);
        let old_serving = ledger.serving.replace(serving).unwrap();
        old_serving.shutdown().await.unwrap();
        old.close(Duration::from_secs(5)).await;
    }
}
