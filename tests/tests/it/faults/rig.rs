//! Private servers, and a bus on each side of them.

use replybus::{Amqp, Bus, contract::QueueType, server::Serving};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::{require_or_skip, unique},
    servers::{Persistence, PrivateRabbit, PrivateRedis},
};
use replybus_tests::ledger::{Books, Gate, Journal, LedgerClient, LedgerServer};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

pub(crate) use replybus_testkit::wait::{AT_MOST, bounded, eventually, until};

/// A RabbitMQ and a Redis.
pub(crate) struct Rig {
    pub(crate) rabbit: PrivateRabbit,
    pub(crate) redis: PrivateRedis,
}

impl Rig {
    /// Servers for one test, which may do with them as it likes; `None` if there are none.
    pub(crate) async fn start(persistence: Persistence) -> Option<Self> {
        let (rabbit, redis) =
            tokio::join!(PrivateRabbit::start(), PrivateRedis::start(persistence));
        Some(Self {
            rabbit: require_or_skip(rabbit)?,
            redis: require_or_skip(redis)?,
        })
    }

    /// Servers that the tests of this file share, which must not harm them. They end with this
    /// process.
    pub(crate) async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<Option<Rig>> = OnceCell::const_new();
        SHARED
            .get_or_init(|| Self::start(Persistence::None))
            .await
            .as_ref()
    }

    /// A caller and a worker, in a namespace of their own.
    pub(crate) async fn ledger(&self, settings: Settings) -> Ledger {
        Ledger::open(settings, self.servers(), self.servers()).await
    }

    /// The addresses of RabbitMQ and Redis.
    pub(crate) fn servers(&self) -> (String, String) {
        (self.rabbit.url(), self.redis.url())
    }

    /// The address of RabbitMQ for a new user, who may configure, write and read what matches.
    pub(crate) async fn url_of(&self, name: &str, rights: [&str; 3]) -> String {
        let [configure, write, read] = rights;
        for arguments in [
            &["add_user", name, "secret"][..],
            &["set_permissions", name, configure, write, read],
        ] {
            self.rabbit.ctl(arguments).await.unwrap();
        }
        let url = self.rabbit.url();
        let (_, host) = url.split_once('@').unwrap();
        format!("amqp://{name}:secret@{host}")
    }

    /// Has RabbitMQ write down which quorum queues it has. RabbitMQ 3.10 does so minutes later, and one
    /// that it does not know of after a crash is lost for ever, with what waits in it.
    pub(crate) async fn writes_down_its_queues(&self) {
        let sync = "[dets:sync(Table) || Table <- dets:all()], ok = mnesia:sync_log().";
        self.rabbit.ctl(&["eval", sync]).await.unwrap();
    }

    /// Waits until no queue holds a message, neither ready nor delivered, except for dead letters.
    pub(crate) async fn drained(&self) {
        drained(&self.rabbit).await;
    }

    /// Waits until all queues and the messages in each are as they should be.
    pub(crate) async fn queues(&self, what: &str, right: impl Fn(&str, u64) -> bool) {
        queues(&self.rabbit, what, right).await;
    }
}

/// As [`Rig::drained`], by what this node says.
pub(crate) async fn drained(rabbit: &PrivateRabbit) {
    queues(rabbit, "they are drained", |queue, messages| {
        queue.ends_with(".dead") || messages == 0
    })
    .await;
}

async fn queues(rabbit: &PrivateRabbit, what: &str, right: impl Fn(&str, u64) -> bool) {
    until(what, || async {
        let listed = rabbit.ctl(&["list_queues", "name", "messages"]).await;
        let queues = listed.map_err(|error| error.to_string())?;
        // The first line is a heading.
        let mut lines = queues.lines().skip(1).map(|line| {
            let (name, messages) = line.split_once('\t').unwrap();
            // What a queue whose node is away holds is not known.
            (name, messages.parse().unwrap_or(u64::MAX))
        });
        if lines.all(|(name, messages)| right(name, messages)) {
            return Ok(());
        }
        Err(queues)
    })
    .await;
}

/// How both buses are set.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) heartbeat: Duration,
    pub(crate) confirm_timeout: Duration,
    pub(crate) queue_type: QueueType,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: replybus::limits::HEARTBEAT,
            confirm_timeout: replybus::limits::CONFIRM_TIMEOUT,
            queue_type: QueueType::Classic,
        }
    }
}

impl Settings {
    /// Notices trouble as soon as can be.
    pub(crate) fn quick() -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            confirm_timeout: Duration::from_secs(2),
            ..Self::default()
        }
    }
}

/// A bus that calls and a bus that serves.
pub(crate) struct Ledger {
    pub(crate) namespace: String,
    pub(crate) caller: Bus,
    pub(crate) worker: Bus,
    pub(crate) client: LedgerClient,
    pub(crate) journal: Arc<Journal>,
    pub(crate) books: Books,
    pub(crate) gate: Gate,
    /// `None` while a test has none served.
    pub(crate) serving: Option<Serving>,
}

impl Ledger {
    /// Waits until both buses have all their connections again. Each comes back in its own time,
    /// those that nothing flows over, too.
    pub(crate) async fn comes_up(&self) {
        eventually("both buses are up", || async {
            self.caller.health().is_up() && self.worker.health().is_up()
        })
        .await;
    }

    /// The caller and the worker each with the addresses of RabbitMQ and Redis.
    pub(crate) async fn open(
        settings: Settings,
        caller: (String, String),
        worker: (String, String),
    ) -> Self {
        let namespace = unique("faults");
        let caller = connect(&namespace, settings, &caller).await;
        let worker = connect(&namespace, settings, &worker).await;
        Self::between(namespace, settings, caller, worker).await
    }

    /// As [`open`](Self::open), between buses of this namespace.
    pub(crate) async fn between(
        namespace: String,
        settings: Settings,
        caller: Bus,
        worker: Bus,
    ) -> Self {
        let journal = Arc::new(Journal::default());
        let (books, gate) = Books::new(Arc::clone(&journal));
        let mut ledger = Self {
            client: LedgerClient::new(&caller),
            namespace,
            caller,
            worker,
            journal,
            books,
            gate,
            serving: None,
        };
        let serving = ledger.serve_on(&ledger.worker, settings.queue_type).await;
        ledger.serving = Some(serving);
        ledger
    }

    /// Serves the ledger in another bus's place, or again.
    pub(crate) async fn serve_on(&self, bus: &Bus, queue_type: QueueType) -> Serving {
        bus.serve(LedgerServer::new(self.books.clone()))
            .queue_type(queue_type)
            .await
            .unwrap()
    }

    /// The name of the service's queue.
    pub(crate) fn queue(&self) -> String {
        format!("{}.ledger.requests", self.namespace)
    }
}

/// A bus at the addresses of RabbitMQ and Redis.
pub(crate) async fn connect(
    namespace: &str,
    settings: Settings,
    (amqp, redis): &(String, String),
) -> Bus {
    connect_by(namespace, settings, Amqp::new(amqp), redis).await
}

/// As [`connect`], with addresses of several nodes of RabbitMQ.
pub(crate) async fn connect_by(
    namespace: &str,
    settings: Settings,
    amqp: Amqp,
    redis: &str,
) -> Bus {
    let amqp = amqp
        .heartbeat(settings.heartbeat)
        .confirm_timeout(settings.confirm_timeout)
        .connect_within(AT_MOST);
    let redis = RedisReplies::new(redis).connect_within(AT_MOST);
    Bus::builder()
        .namespace(namespace)
        .connect(amqp, redis)
        .await
        .unwrap()
}
