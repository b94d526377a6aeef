//! A bus whose servers speak TLS, vouched for by an authority of one's own, and want to know who
//! connects.

use replybus::{
    Amqp, Bus, Never, SetupError, queue_handler, reply::memory::MemoryReplies,
    transport::memory::MemoryBroker,
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    certificates::{Authority, Certified},
    live::{require_or_skip, unique},
    proxy::{Mode, Proxy},
    servers::{PrivateRabbit, PrivateRedis, ReservedPort, Workplace},
    wait::{bounded, until},
};
use std::{fs, net::SocketAddr, path::Path, time::Duration};

#[queue_handler("echo.requests", timeout = "5s")]
trait Echo {
    #[query]
    async fn ask(&self, text: String) -> Result<String, Never>;
}

struct There;

impl Echo for There {
    async fn ask(&self, text: String) -> Result<String, Never> {
        Ok(text)
    }
}

/// A client, as it shows itself and whom it believes.
struct Client<'a> {
    host: &'a str,
    authority: &'a str,
    shows: Option<&'a Certified>,
}

impl Client<'_> {
    fn amqp(&self, port: u16) -> Amqp {
        let amqp = Amqp::new(format!("amqps://guest:guest@{}:{port}/%2f", self.host));
        let amqp = amqp.ca_certificate_pem(self.authority);
        match self.shows {
            Some(shown) => amqp.identity_pem(shown.certificate.clone(), shown.key.clone()),
            None => amqp,
        }
    }

    fn redis(&self, port: u16) -> RedisReplies {
        let redis = RedisReplies::new(format!("rediss://:hunter2@{}:{port}", self.host));
        let redis = redis.ca_certificate_pem(self.authority);
        match self.shows {
            Some(shown) => redis.identity_pem(shown.certificate.clone(), shown.key.clone()),
            None => redis,
        }
    }

    async fn refused_by_rabbit(&self, port: u16) -> SetupError {
        let bus = Bus::connect(self.amqp(port), MemoryReplies::new());
        bounded(bus).await.err().unwrap()
    }

    async fn refused_by_redis(&self, port: u16) -> SetupError {
        let bus = Bus::connect(MemoryBroker::new(), self.redis(port));
        bounded(bus).await.err().unwrap()
    }
}

/// What no server takes, or whose server no client takes, with a word of the reason.
struct Wrong {
    other: Authority,
    stranger: Certified,
    expired: Certified,
}

impl Wrong {
    fn new(authority: &Authority) -> Self {
        let other = Authority::new().unwrap();
        Self {
            stranger: other.certify("bank").unwrap(),
            expired: authority.certify_once("bank").unwrap(),
            other,
        }
    }

    fn clients<'a>(
        &'a self,
        authority: &'a Authority,
        right: &'a Certified,
    ) -> [(Client<'a>, &'static str); 5] {
        let client = |host, authority, shows| Client {
            host,
            authority,
            shows,
        };
        let (ours, localhost) = (authority.pem(), "localhost");
        [
            (client("127.0.0.1", ours, Some(right)), "127.0.0.1"),
            (
                client(localhost, self.other.pem(), Some(right)),
                "none of the authorities",
            ),
            (client(localhost, ours, None), "identity_pem"),
            (
                client(localhost, ours, Some(&self.stranger)),
                "identity_pem",
            ),
            (client(localhost, ours, Some(&self.expired)), "identity_pem"),
        ]
    }
}

#[track_caller]
fn says(refused: &SetupError, reason: &str) {
    assert!(matches!(refused, SetupError::Refused { .. }), "{refused:?}");
    let told = refused.to_string();
    assert!(told.contains(reason), "{reason}: {told}");
    let told = format!("{refused:?}");
    for secret in ["guest:", "hunter2", "PRIVATE KEY"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_over_mutual_tls_and_go_on_after_their_connections_were_cut() {
    let (authority, workplace) = (Authority::new().unwrap(), Workplace::new("tls").unwrap());
    let server = authority.certify("localhost").unwrap();
    let files = authority.write(workplace.directory(), &server).unwrap();
    let tls_port = ReservedPort::new().unwrap();
    let rabbit_at = tls_port.address();
    let rabbit = PrivateRabbit::set_up(|rabbit| rabbit.tls(tls_port, &files));
    let redis = PrivateRedis::set_up(|redis| redis.password("hunter2").tls(&files));
    let (Some(rabbit), Some(redis)) = (require_or_skip(rabbit.await), require_or_skip(redis.await))
    else {
        return;
    };
    let to_rabbit = Proxy::to(rabbit_at).await.unwrap();
    let to_redis = Proxy::to(redis.address()).await.unwrap();

    let shown = authority.certify("bank").unwrap();
    let client = Client {
        host: "localhost",
        authority: authority.pem(),
        shows: Some(&shown),
    };
    let bus = Bus::builder().namespace(unique("encrypted"));
    let amqp = client.amqp(to_rabbit.addr().port());
    let bus = bus.connect(amqp, client.redis(to_redis.addr().port()));
    let bus = bounded(bus).await.unwrap();
    let serving = bus.serve(EchoServer::new(There)).await.unwrap();
    let echo = EchoClient::new(&bus);
    assert_eq!(echo.ask("before".into()).await.unwrap(), "before");

    for proxy in [&to_rabbit, &to_redis] {
        let before = proxy.accepted();
        proxy.set(Mode::Cut);
        until("a call goes over new connections", || async {
            let asked = echo.ask("after".into()).await;
            match asked {
                Ok(text) if proxy.accepted() > before => {
                    assert_eq!(text, "after");
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
    serving.shutdown().await.unwrap();
    bus.close(Duration::from_secs(5)).await;

    refuses_each_wrong_one(&authority, &shown, rabbit_at, &redis).await;
    // What it shows from now on has expired.
    show_expired(&authority, workplace.directory());
    let flush = ["eval", "ssl:clear_pem_cache()."];
    rabbit.ctl(&flush).await.unwrap();
    says(&client.refused_by_rabbit(rabbit_at.port()).await, "expired");
    let expired = PrivateRedis::set_up(|redis| redis.password("hunter2").tls(&files));
    let expired = expired.await.unwrap();
    says(&client.refused_by_redis(expired.port()).await, "expired");
}

async fn refuses_each_wrong_one(
    authority: &Authority,
    right: &Certified,
    rabbit: SocketAddr,
    redis: &PrivateRedis,
) {
    let wrong = Wrong::new(authority);
    for (client, reason) in wrong.clients(authority, right) {
        says(&client.refused_by_rabbit(rabbit.port()).await, reason);
        says(&client.refused_by_redis(redis.port()).await, reason);
    }
}

fn show_expired(authority: &Authority, directory: &Path) {
    let expired = authority.certify_once("localhost").unwrap();
    fs::write(directory.join("cert.pem"), &expired.certificate).unwrap();
    fs::write(directory.join("key.pem"), &expired.key).unwrap();
}

#[tokio::test]
async fn what_is_no_certificate_or_not_the_keys_is_refused_before_anything_is_tried() {
    let authority = Authority::new().unwrap();
    let (one, another) = (
        authority.certify("bank").unwrap(),
        authority.certify("bank").unwrap(),
    );
    let key = |key: &str| Certified {
        certificate: one.certificate.clone(),
        key: key.to_owned(),
    };
    let cases = [
        ("hunter2", &one, "ca_certificate_pem"),
        (authority.pem(), &key("hunter2"), "private key"),
        (authority.pem(), &key(&another.key), "not the key's"),
    ];
    for (authority, shown, reason) in cases {
        let client = Client {
            host: "localhost",
            authority,
            shows: Some(shown),
        };
        for refused in [
            client.refused_by_rabbit(1).await,
            client.refused_by_redis(1).await,
        ] {
            assert!(matches!(refused, SetupError::Setting { .. }), "{refused:?}");
            let told = refused.to_string();
            assert!(told.contains(reason), "{reason}: {told}");
            assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        }
    }
}
