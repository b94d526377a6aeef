//! Programs with the rights that are printed for them, and no others.

use crate::program;
use replybus::{
    Amqp, Bus, CallError, Event, FailureKind, RetryLater, queue_handler,
    transport::{QueueSpec, Source},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::require_or_skip,
    servers::{Persistence, PrivateRabbit, PrivateRedis},
    wait::{bounded, eventually},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

const NAMESPACE: &str = "mill.1";

#[queue_handler("grain.requests")]
trait Grain {
    #[query]
    async fn stock(&self) -> Result<u32, String>;
    async fn order(&self, sacks: u32) -> Result<u32, String>;
    /// Put off on the broker before it is done.
    #[command(retry(max = 1, base = "1100ms", max_delay = "1100ms"))]
    async fn grind(&self) -> Result<u32, String>;
    async fn burn(&self) -> Result<u32, String>;
}

#[derive(Debug, Event, Serialize, Deserialize)]
#[event("harvest.done")]
struct HarvestDone {
    sacks: u32,
}

#[derive(Debug, Clone, Default)]
struct Mill {
    orders: Arc<AtomicU32>,
    heard: Arc<AtomicU32>,
}

impl Grain for Mill {
    async fn stock(&self) -> Result<u32, String> {
        Ok(7)
    }

    async fn order(&self, _: u32) -> Result<u32, String> {
        Ok(self.orders.fetch_add(1, Ordering::SeqCst) + 1)
    }

    async fn grind(&self) -> Result<u32, String> {
        match replybus::Context::current().attempt() {
            1 => Err("the stones are hot".to_owned()).retry_later(),
            attempt => Ok(attempt),
        }
    }

    async fn burn(&self) -> Result<u32, String> {
        panic!("it burns");
    }
}

/// Servers of the test, which know nobody yet.
struct Servers {
    rabbit: PrivateRabbit,
    redis: PrivateRedis,
}

impl Servers {
    /// A user with the rights that the tool prints for such a program, and its addresses.
    async fn user(&self, name: &str, does: &[&str]) -> (String, String) {
        let arguments = [&["rights", "--json", "--user", name], does].concat();
        let environment = [("BUS_NAMESPACE", NAMESPACE)];
        let printed = program::run(&environment, &arguments, "").await.json();
        let text = |path: &str| printed.pointer(path).unwrap().as_str().unwrap().to_owned();
        let of = |what: &str| text(&format!("/rabbitmq/permissions/0/{what}"));
        let [configure, write, read] = ["configure", "write", "read"].map(of);
        self.rabbit.ctl(&["add_user", name, "pw"]).await.unwrap();
        let set = ["set_permissions", name, &configure, &write, &read];
        self.rabbit.ctl(&set).await.unwrap();

        let acl = text("/redis/acl").replace("PASSWORD", "pw");
        let acl: Vec<&str> = acl.split(' ').collect();
        assert_eq!(self.redis.cli(&acl).await.unwrap().trim(), "OK");
        let address = self.rabbit.url();
        let (_, host) = address.split_once('@').unwrap();
        let redis = format!("redis://{name}:pw@127.0.0.1:{}/0", self.redis.port());
        (format!("amqp://{name}:pw@{host}"), redis)
    }

    async fn bus(&self, (amqp, redis): &(String, String)) -> Bus {
        let builder = Bus::builder().namespace(NAMESPACE);
        let connecting = builder.connect(Amqp::new(amqp), RedisReplies::new(redis));
        bounded(connecting).await.unwrap()
    }

    /// What Redis says to a user.
    async fn redis(&self, user: &str, command: &[&str]) -> String {
        let who = ["--user", user, "--pass", "pw", "--no-auth-warning"];
        let said = self.redis.cli(&[&who[..], command].concat()).await;
        said.unwrap_or_else(|error| error.to_string())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_work_with_the_least_rights_and_have_no_others() {
    let (rabbit, redis) = tokio::join!(
        PrivateRabbit::start(),
        PrivateRedis::start(Persistence::None)
    );
    let (Some(rabbit), Some(redis)) = (require_or_skip(rabbit), require_or_skip(redis)) else {
        return;
    };
    let servers = Servers { rabbit, redis };
    let mill = [
        "--serve",
        "grain.requests",
        "--subscribe",
        "mill",
        "--delays",
    ];
    let mill = servers.user("mill", &mill).await;
    let farm = servers
        .user("farm", &["--call", "grain.requests", "--emit"])
        .await;
    let (serving, calling) = (servers.bus(&mill).await, servers.bus(&farm).await);

    let state = Mill::default();
    let service = serving
        .serve(GrainServer::new(state.clone()))
        .await
        .unwrap();
    let heard = Arc::clone(&state.heard);
    let group = serving
        .subscribe("mill", move |event: HarvestDone| {
            let heard = Arc::clone(&heard);
            async move {
                heard.fetch_add(event.sacks, Ordering::SeqCst);
                Ok::<(), std::io::Error>(())
            }
        })
        .await
        .unwrap();
    let grain = GrainClient::new(&calling);
    assert_eq!(grain.stock().await.unwrap(), 7);
    for _ in 0..2 {
        let order = grain.order(3).idempotency_key("o-1");
        assert_eq!(order.await.unwrap(), 1);
    }
    let ticket = grain.order(4).submit().await.unwrap();
    assert_eq!(bounded(ticket.wait(&calling)).await.unwrap(), 2);
    assert_eq!(grain.grind().await.unwrap(), 2);
    grain.burn().send().await.unwrap();
    calling.emit(&HarvestDone { sacks: 9 }).await.unwrap();
    eventually("the event was heard", || async {
        state.heard.load(Ordering::SeqCst) == 9
    })
    .await;
    eventually("the letter is kept", || async {
        let dead = serving.inspect("grain.requests.dead").await.unwrap();
        dead.is_some_and(|queue| queue.waiting == 1)
    })
    .await;
    // Who serves is known, asked and watched.
    assert_eq!(calling.instances("grain.requests").await.unwrap().len(), 1);
    let control = calling.control("grain.requests");
    assert_eq!(control.stats().await.unwrap().len(), 1);

    outside(&servers, &mill, &farm).await;

    service.shutdown().await.unwrap();
    group.shutdown().await.unwrap();
    // That nobody serves is known as well.
    let nobody = grain.stock().await.unwrap_err();
    let CallError::Bus(failure) = nobody else {
        panic!("{nobody:?}")
    };
    assert_eq!(failure.kind(), FailureKind::NoConsumer, "{failure}");
    for bus in [serving, calling] {
        bus.close(Duration::from_secs(5)).await;
    }
}

/// What the two programs may not do.
async fn outside(servers: &Servers, mill: &(String, String), farm: &(String, String)) {
    let admin = Amqp::new(servers.rabbit.url()).connect().await.unwrap();
    let other = format!("{NAMESPACE}.bread.requests");
    admin.declare(QueueSpec::new(&other)).await.unwrap();
    for ((amqp, _), queue) in [
        (farm, format!("{NAMESPACE}.grain.requests")),
        (farm, format!("{NAMESPACE}.grain.requests.dead")),
        (farm, format!("{NAMESPACE}.mill")),
        (mill, other.clone()),
        (mill, format!("{NAMESPACE}.grain.requests.more")),
        (mill, "grain.requests".to_owned()),
    ] {
        let transport = Amqp::new(amqp).connect().await.unwrap();
        let source = Source::new(QueueSpec::new(&queue), 1);
        let refused = bounded(transport.consume(source)).await.unwrap_err();
        let text = format!("{refused:?}");
        assert!(text.contains("ACCESS_REFUSED"), "{queue}: {text}");
        transport.close(Duration::from_secs(5)).await;
    }
    admin.close(Duration::from_secs(5)).await;

    let claim = |of: &str| format!("replybus:{NAMESPACE}.claim:{of}:order:key:x");
    for (user, key, may) in [
        ("mill", claim("grain.requests"), true),
        ("farm", claim("grain.requests"), true),
        ("mill", claim("bread.requests"), false),
        ("farm", claim("bread.requests"), false),
        ("farm", claim("event:mill"), false),
        (
            "mill",
            claim("grain.requests").replace("mill.1", "mill.2"),
            false,
        ),
        ("mill", "session:ada".to_owned(), false),
    ] {
        let said = servers.redis(user, &["HMGET", &key, "state"]).await;
        assert_eq!(!said.contains("NOPERM"), may, "{user} {key}: {said}");
    }
    for command in [&["KEYS", "*"][..], &["FLUSHALL"], &["CONFIG", "GET", "*"]] {
        let said = servers.redis("mill", command).await;
        assert!(said.contains("NOPERM"), "{command:?}: {said}");
    }
}

#[tokio::test]
async fn rights_are_printed_as_the_servers_take_them_without_a_password() {
    let run = async |arguments: &[&str]| {
        let environment = [("REDIS_URL", "redis://ada:hunter2@127.0.0.1:1/0")];
        program::run(&environment, &[&["rights"], arguments].concat(), "").await
    };
    let printed = run(&[
        "--user",
        "till",
        "--serve",
        "till.requests:2",
        "--vhost",
        "shop",
    ])
    .await;
    let text = printed.text();
    assert!(
        text.starts_with("rabbitmqctl set_permissions -p 'shop' 'till' '^(replybus"),
        "{text}"
    );
    assert!(
        text.contains(r"till\.requests\.1|till\.requests\.dead"),
        "{text}"
    );
    assert!(
        text.contains("\nACL SETUSER till reset on >PASSWORD ~replybus:claim:till.requests:*")
            || text.contains("\nACL SETUSER till reset on >PASSWORD ~replybus:cache:"),
        "{text}"
    );
    assert!(text.contains("# Redis:") && !text.contains("hunter2"));
    let json: Value = run(&["--emit", "--json"]).await.json();
    assert_eq!(
        json["rabbitmq"]["permissions"][0]["write"],
        r"^(replybus\.events)$"
    );
    for (bad, code) in [
        (&[][..], 2),
        (&["--call", "a b"], 1),
        (&["--serve", "a:0"], 2),
        (&["--call", "a", "--user", "x'; ls"], 2),
        (&["--call", "a", "--namespace", ".*|"], 1),
    ] {
        let refused = run(bad).await;
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.out.is_empty());
    }
}
