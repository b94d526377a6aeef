//! The settings of the store: where Redis is, how to reach it, and how long to wait for it.

#[cfg(feature = "tls")]
use crate::certificates::Certificates;
use crate::{
    cache::Cache,
    claims::Claims,
    commands::{Claiming, Finishing},
    connection::{self, Link, Pool},
    delayed::Delayed,
    error::{Cure, Failure},
    flight::Flights,
    health::Health,
    inbox::{EntryId, Inbox},
    keys::Keys,
    lanes::Lanes,
    listener::{self, Listener},
    portion::Portion,
    presences::Presences,
    replies::Replies,
    rights::RedisRights,
    store::RedisStore,
    trial::Trial,
    url::Target,
    writer::Writer,
};
use async_trait::async_trait;
use deadpool_redis::redis::{ConnectionInfo, RedisResult};
use replybus::{
    SetupError, limits,
    reply::{Arrivals, ReplyBackend, ReplyStore},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// Before inboxes and claims, so that a rule for this user's rights can name them.
const KEY_PREFIX: &str = "replybus:";
/// Connections to write on. One carries tens of thousands of replies a second; the second lets
/// work go on while the first is being replaced.
const POOL_SIZE: usize = 2;
const POOL_SIZE_MAX: usize = 64;
/// Redis answers within a millisecond; a second is a server in trouble or a dead connection.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Replies through Redis 6.2 or later; what `Bus::connect` takes as its reply store.
///
/// Nothing is read or checked before the bus connects.
///
/// ```no_run
/// use replybus::{Amqp, Bus};
/// use replybus_redis::RedisReplies;
/// use std::time::Duration;
///
/// # async fn connect() -> Result<(), replybus::SetupError> {
/// let replies = RedisReplies::new("redis://127.0.0.1:6379/0")
///     .pool_size(4)
///     .connect_within(Duration::from_secs(10));
/// let bus = Bus::connect(Amqp::new("amqp://guest:guest@127.0.0.1:5672/%2f"), replies).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "does nothing until a bus connects with it"]
pub struct RedisReplies {
    url: String,
    key_prefix: String,
    pool_size: usize,
    connect_within: Duration,
    response_timeout: Duration,
    #[cfg(feature = "tls")]
    certificates: Certificates,
}

impl RedisReplies {
    /// Redis at a URL, one string for every kind of deployment, so that it fits into an environment
    /// variable:
    ///
    /// - `redis://user:password@host:port/database`, and `rediss://` for TLS (feature `tls`);
    /// - `redis+cluster://user:password@host1:port,host2:port`, some nodes of a Redis Cluster,
    ///   which tell of the rest (feature `cluster`);
    /// - `redis+sentinel://user:password@host1:port,host2:port/database?master=name`, the Sentinels
    ///   that know the master `name` (feature `sentinel`); user, password and database are those of
    ///   the server behind, what the Sentinels themselves ask for is given as `sentinel_username`
    ///   and `sentinel_password`.
    ///
    /// `rediss+cluster` and `rediss+sentinel` do the same over TLS. Certificates are checked
    /// against the platform's store, or an authority of one's own
    /// (`ca_certificate_pem`); there is no way to switch that off. In user and password,
    /// `/ ? # @ : %` are percent-encoded.
    ///
    /// ```
    /// use replybus_redis::RedisReplies;
    ///
    /// let replies = RedisReplies::new("rediss://bank:p%40ss@redis.example.org/2");
    /// // A log may show it: the password is left out.
    /// assert!(!format!("{replies:?}").contains("p%40ss"));
    /// ```
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key_prefix: KEY_PREFIX.to_owned(),
            pool_size: POOL_SIZE,
            connect_within: limits::CONNECT_WITHIN,
            response_timeout: RESPONSE_TIMEOUT,
            #[cfg(feature = "tls")]
            certificates: Certificates::default(),
        }
    }

    /// Sets the beginning of the keys of inboxes and claims: up to 64 bytes of printable ASCII
    /// without braces, `replybus:` by default. All programs of one bus need the same.
    ///
    /// ```
    /// # use replybus_redis::RedisReplies;
    /// // Beside others on one server, each with rights to its own keys (`~bank:*`).
    /// let replies = RedisReplies::new("redis://bank:secret@redis").key_prefix("bank:");
    /// ```
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// The rights that a user of the server needs in the namespace of a bus, to be named by what its
    /// programs do there; see [`RedisRights`].
    ///
    /// # Errors
    /// The key prefix or the namespace is none.
    pub fn rights(&self, namespace: &str) -> Result<RedisRights, SetupError> {
        RedisRights::new(&self.key_prefix, namespace)
    }

    /// Sets the number of connections to write on, 1 to 64; 2 by default. The inbox has one more of
    /// its own, and so have the claims of handlers that block their runtime, once there are such.
    ///
    /// ```
    /// # use replybus_redis::RedisReplies;
    /// // For a worker whose processors are idle while it waits for Redis.
    /// let replies = RedisReplies::new("redis://redis").pool_size(4);
    /// ```
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// Sets how long connecting keeps trying while Redis can't be reached; 30 s by default.
    ///
    /// ```
    /// # use replybus_redis::RedisReplies;
    /// # use std::time::Duration;
    /// // A program that is to fail at once, such as a check of a deployment.
    /// let replies = RedisReplies::new("redis://redis").connect_within(Duration::from_secs(1));
    /// ```
    pub fn connect_within(mut self, within: Duration) -> Self {
        self.connect_within = within;
        self
    }

    /// Sets how long Redis may take to answer one command before its connection is given up; 1 s by
    /// default. An operation is tried again, for up to three times as long in all.
    ///
    /// ```
    /// # use replybus_redis::RedisReplies;
    /// # use std::time::Duration;
    /// // A server that is far away, or pauses to write its snapshots.
    /// let replies = RedisReplies::new("redis://redis").response_timeout(Duration::from_secs(3));
    /// ```
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Trusts the authorities whose certificates are in `pem` (one or more), and no others: those of
    /// the platform are not asked then. The address must be `rediss://`, that of one server.
    ///
    /// ```no_run
    /// # use replybus_redis::RedisReplies;
    /// # fn read() -> std::io::Result<()> {
    /// // An authority of one's own, and a server that wants to know who connects.
    /// let replies = RedisReplies::new("rediss://bank:secret@redis")
    ///     .ca_certificate_pem(std::fs::read_to_string("ca.pem")?)
    ///     .identity_pem(std::fs::read("bank.pem")?, std::fs::read("bank-key.pem")?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn ca_certificate_pem(mut self, pem: impl Into<String>) -> Self {
        self.certificates.authority = Some(pem.into());
        self
    }

    /// Shows the server this certificate (PEM, the leaf first), with its private key (PEM: PKCS#8,
    /// PKCS#1 or SEC1, not encrypted). The address must be `rediss://`, that of one server.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn identity_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.certificates.identity = Some((certificate.into(), key.into()));
        self
    }

    fn check(&self) -> Result<(), SetupError> {
        if !(1..=POOL_SIZE_MAX).contains(&self.pool_size) {
            let reason = format!("is {}; 1 to {POOL_SIZE_MAX} are allowed", self.pool_size);
            return Err(SetupError::setting("pool_size", reason));
        }
        for (setting, value) in [
            ("connect_within", self.connect_within),
            ("response_timeout", self.response_timeout),
        ] {
            if value.is_zero() || value > DAY {
                let reason = format!("is {value:?}; more than nothing and up to a day is allowed");
                return Err(SetupError::setting(setting, reason));
            }
        }
        Ok(())
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[async_trait]
impl ReplyBackend for RedisReplies {
    async fn open(
        self: Box<Self>,
        namespace: &str,
        arrivals: Arc<dyn Arrivals>,
    ) -> Result<Arc<dyn ReplyStore>, SetupError> {
        self.check()?;
        let keys = Keys::new(&self.key_prefix, namespace)?;
        let target = Target::parse(&self.url)?;
        #[cfg(feature = "tls")]
        self.certificates.check(&target)?;
        let address = target.address();
        let inbox = Inbox::new(keys.inbox(Uuid::new_v4()));
        // One more than is held to write on: the listener's, which then leaves the pool.
        let nodes = self.nodes(&target);
        let nodes = nodes.map_err(|error| Failure::from(error).setup(&address))?;
        let pool = Pool::new(&target, nodes.clone(), self.pool_size + 1);
        let pool = Arc::new(pool.map_err(|failure| failure.setup(&address))?);
        // A pool of its own: none of its connections is driven by the runtime of this one's.
        let apart = Pool::new(&target, nodes, 1).map_err(|failure| failure.setup(&address))?;
        let apart = Arc::new(apart);
        let claims = Arc::new(Claims::new());
        let trial = Trial {
            inbox: inbox.clone(),
            keys: keys.clone(),
            claims: Arc::clone(&claims),
            is_cluster: pool.is_cluster(),
        };
        let link = self
            .connect(&pool, &trial)
            .await
            .map_err(|failure| failure.setup(&address))?;

        let health = Arc::new(Health::default());
        let writer_on = |pool: &Arc<Pool>, connections| {
            let (pool, health) = (Arc::clone(pool), Arc::clone(&health));
            Writer::new(pool, connections, self.response_timeout, health)
        };
        let writer = Arc::new(writer_on(&pool, self.pool_size));
        let listener = Listener {
            pool: Arc::clone(&pool),
            keys: keys.clone(),
            inbox: inbox.clone(),
            arrivals,
            health: Arc::clone(&health),
            response_timeout: self.response_timeout,
            last: EntryId::default(),
            portion: Portion::whole(),
            owes_look: false,
        };
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(listener.run(link)).await });
        let (stopped, probing) = (stop.clone(), Arc::clone(&writer));
        tasks.spawn(async move { stopped.run_until_cancelled(probing.probe(&trial)).await });

        let replies = Replies {
            keys: keys.clone(),
            writer: Arc::clone(&writer),
            is_cluster: pool.is_cluster(),
        };
        let claiming = Claiming {
            keys: keys.clone(),
            writer: Arc::clone(&writer),
            claims: Arc::clone(&claims),
        };
        let home = Handle::current();
        Ok(Arc::new(RedisStore {
            place: format!("{address}/{}", target.database),
            keys,
            inbox,
            writer,
            home: home.id(),
            apart: writer_on(&apart, 1),
            groups: Lanes::new(replies.clone(), home.clone(), tasks.clone()),
            claiming: Lanes::new(claiming.clone(), home.clone(), tasks.clone()),
            finishing: Lanes::new(Finishing(claiming), home, tasks.clone()),
            replies,
            claims,
            presences: Presences::new(),
            delayed: Delayed::new(),
            flights: Flights::new(),
            cache: Cache::new(),
            health,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
            tasks,
        }))
    }
}

impl RedisReplies {
    /// How each server of a checked target is connected to.
    fn nodes(&self, target: &Target) -> RedisResult<Vec<ConnectionInfo>> {
        let nodes = connection::nodes(target)?;
        #[cfg(feature = "tls")]
        let nodes = nodes.into_iter().map(|node| self.certificates.on(node));
        #[cfg(feature = "tls")]
        let nodes = nodes.collect::<RedisResult<_>>()?;
        Ok(nodes)
    }

    /// Makes the first connection and the inbox, tries all that will be asked, and starts over
    /// within the bound unless the server says no.
    async fn connect(&self, pool: &Pool, trial: &Trial) -> Result<Link, Failure> {
        let deadline = Instant::now() + self.connect_within;
        let mut pauses = listener::pauses();
        let mut last = Failure::NoConnection;
        loop {
            match timeout_at(deadline, self.try_connect(pool, trial)).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(failure)) if failure.refusal().is_some() => return Err(failure),
                Ok(Err(failure)) if failure.cure() == Cure::None => return Err(failure),
                Ok(Err(failure)) => last = failure,
                Err(_) => return Err(last),
            }
            let pause = pauses.next().unwrap_or(limits::RECONNECT_MAX);
            if Instant::now() + pause >= deadline {
                return Err(last);
            }
            sleep(pause).await;
        }
    }

    async fn try_connect(&self, pool: &Pool, trial: &Trial) -> Result<Link, Failure> {
        let mut link = pool.get().await?.take();
        trial.open(&mut link, self.response_timeout).await?;
        Ok(link)
    }
}

impl fmt::Debug for RedisReplies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the text that was given: until it parses nobody knows where the password ends.
        let target = Target::parse(&self.url);
        let address = target
            .as_ref()
            .map_or("<invalid>".to_owned(), Target::address);
        f.debug_struct("RedisReplies")
            .field("address", &address)
            .field("key_prefix", &self.key_prefix)
            .field("pool_size", &self.pool_size)
            .field("connect_within", &self.connect_within)
            .field("response_timeout", &self.response_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_password() {
        for url in [
            "redis://me:hunter2@h:7000/1",
            "redis://me:hun/ter2@h",
            "redis+sentinel://me:hunter2@h?master=m&sentinel_password=hunter2",
            "hunter2",
        ] {
            let shown = format!("{:?}", RedisReplies::new(url));
            assert!(
                !shown.contains("hunter2") && !shown.contains("ter2"),
                "{shown}"
            );
        }
        let shown = format!("{:?}", RedisReplies::new("redis://me:hunter2@h:7000/1"));
        assert!(shown.contains("h:7000"), "{shown}");
    }

    #[test]
    fn refuses_settings_that_make_no_sense() {
        let settings = RedisReplies::new("redis://h");
        assert!(settings.check().is_ok());
        for wrong in [
            settings.clone().pool_size(0),
            settings.clone().pool_size(65),
            settings.clone().connect_within(Duration::ZERO),
            settings.clone().response_timeout(Duration::ZERO),
            settings.clone().response_timeout(Duration::MAX),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
