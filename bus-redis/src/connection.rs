//! Connections to one server, to a cluster, or to the master that Sentinels name.
//!
//! The pool bounds how many there are and how long making one may take. It is not asked for each
//! command: it would ping first, at twice the cost of the command. Its connections are held and
//! their cheap clones used, and one that failed is taken out for good.

use crate::{
    error::Failure,
    url::{Credentials, Target, Topology},
};
use deadpool_redis::{PoolConfig, Runtime, Timeouts, redis};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use replybus::limits;
use std::{fmt, time::Duration};

/// Unanswered for so long, the kernel calls the peer dead.
const TCP_SILENCE_MAX: Duration = Duration::from_secs(5);
/// Commands that wait for the writing task of one connection.
const PIPELINE_COMMANDS_MAX: usize = 1024;

/// Makes connections and bounds their number.
pub(crate) enum Pool {
    Single(deadpool_redis::Pool),
    #[cfg(feature = "cluster")]
    Cluster(deadpool_redis::cluster::Pool),
    #[cfg(feature = "sentinel")]
    Sentinel(deadpool_redis::sentinel::Pool),
}

/// A connection that counts against the pool's bound.
pub(crate) enum Held {
    Single(deadpool_redis::Connection),
    #[cfg(feature = "cluster")]
    Cluster(deadpool_redis::cluster::Connection),
    #[cfg(feature = "sentinel")]
    Sentinel(deadpool_redis::sentinel::Connection),
}

/// A handle to a connection. Clones share it; it ends with the last of them.
#[derive(Clone)]
pub(crate) enum Link {
    Single(MultiplexedConnection),
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Pool {
    /// A pool of at most `size` connections to these nodes; none is made yet.
    pub(crate) fn new(
        target: &Target,
        nodes: Vec<ConnectionInfo>,
        size: usize,
    ) -> Result<Self, Failure> {
        #[cfg(feature = "tls")]
        if target.tls && rustls::crypto::CryptoProvider::get_default().is_none() {
            // The error says that another thread was faster.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        match &target.topology {
            Topology::Single => {
                // Every command is bounded by its user, so that a script and its upload count as
                // one.
                let settings = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(limits::CONNECT_TIMEOUT))
                    .set_response_timeout(None)
                    .set_pipeline_buffer_size(PIPELINE_COMMANDS_MAX);
                let node = nodes.into_iter().next().ok_or(Failure::NoConnection)?;
                let manager = deadpool_redis::Manager::new_with_config(node, settings)?;
                let pool = deadpool_redis::Pool::builder(manager);
                let pool = pool.config(pool_config(size)).runtime(Runtime::Tokio1);
                Ok(Self::Single(
                    pool.build().map_err(|_| Failure::NoConnection)?,
                ))
            }
            #[cfg(feature = "cluster")]
            Topology::Cluster => {
                let manager = deadpool_redis::cluster::Manager::new(nodes, false)?;
                let pool = deadpool_redis::cluster::Pool::builder(manager);
                let pool = pool.config(pool_config(size)).runtime(Runtime::Tokio1);
                Ok(Self::Cluster(
                    pool.build().map_err(|_| Failure::NoConnection)?,
                ))
            }
            #[cfg(feature = "sentinel")]
            Topology::Sentinel { master, .. } => {
                use deadpool_redis::sentinel::{Manager, Pool, SentinelServerType};
                let manager = Manager::new(
                    nodes,
                    master.clone(),
                    Some(behind_sentinel(target)),
                    SentinelServerType::Master,
                )?;
                let pool = Pool::builder(manager);
                let pool = pool.config(pool_config(size)).runtime(Runtime::Tokio1);
                Ok(Self::Sentinel(
                    pool.build().map_err(|_| Failure::NoConnection)?,
                ))
            }
            // Refused when the address was checked.
            #[allow(unreachable_patterns)]
            _ => Err(Failure::NoConnection),
        }
    }

    pub(crate) async fn get(&self) -> Result<Held, Failure> {
        Ok(match self {
            Self::Single(pool) => Held::Single(pool.get().await?),
            #[cfg(feature = "cluster")]
            Self::Cluster(pool) => Held::Cluster(pool.get().await?),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(pool) => Held::Sentinel(pool.get().await?),
        })
    }

    /// True if keys may live on different servers, out of reach of one script.
    pub(crate) fn is_cluster(&self) -> bool {
        match self {
            Self::Single(_) => false,
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => true,
            #[cfg(feature = "sentinel")]
            Self::Sentinel(_) => false,
        }
    }

    pub(crate) fn close(&self) {
        match self {
            Self::Single(pool) => pool.close(),
            #[cfg(feature = "cluster")]
            Self::Cluster(pool) => pool.close(),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(pool) => pool.close(),
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topology = if self.is_cluster() {
            "cluster"
        } else {
            "one server"
        };
        f.debug_tuple("Pool").field(&topology).finish()
    }
}

impl Held {
    pub(crate) fn link(&self) -> Link {
        match self {
            Self::Single(held) => Link::Single(MultiplexedConnection::clone(held)),
            #[cfg(feature = "cluster")]
            Self::Cluster(held) => {
                Link::Cluster(redis::cluster_async::ClusterConnection::clone(held))
            }
            #[cfg(feature = "sentinel")]
            Self::Sentinel(held) => Link::Single(unbounded(MultiplexedConnection::clone(held))),
        }
    }

    /// Takes the connection out of the pool for good, to keep it apart or to drop it.
    pub(crate) fn take(self) -> Link {
        match self {
            Self::Single(held) => Link::Single(deadpool_redis::Connection::take(held)),
            #[cfg(feature = "cluster")]
            Self::Cluster(held) => Link::Cluster(deadpool_redis::cluster::Connection::take(held)),
            #[cfg(feature = "sentinel")]
            Self::Sentinel(held) => {
                Link::Single(unbounded(deadpool_redis::sentinel::Connection::take(held)))
            }
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(link) => link.req_packed_command(cmd),
            #[cfg(feature = "cluster")]
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(link) => link.req_packed_commands(cmd, offset, count),
            #[cfg(feature = "cluster")]
            Self::Cluster(link) => link.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(link) => link.get_db(),
            #[cfg(feature = "cluster")]
            Self::Cluster(link) => link.get_db(),
        }
    }
}

/// The Sentinel client makes connections that give up after 500 ms, and offers no setting. Ours
/// are bounded by who uses them.
#[cfg(feature = "sentinel")]
fn unbounded(mut link: MultiplexedConnection) -> MultiplexedConnection {
    link.set_response_timeout(Duration::from_secs(24 * 60 * 60));
    link
}

fn pool_config(size: usize) -> PoolConfig {
    let mut config = PoolConfig::new(size);
    config.timeouts = Timeouts {
        wait: Some(limits::CONNECT_TIMEOUT),
        create: Some(limits::CONNECT_TIMEOUT),
        recycle: Some(limits::CONNECT_TIMEOUT),
    };
    config
}

/// How each server of a target is connected to.
pub(crate) fn nodes(target: &Target) -> RedisResult<Vec<ConnectionInfo>> {
    let nodes = target.nodes.iter();
    nodes.map(|node| connection_info(target, node)).collect()
}

fn connection_info(target: &Target, (host, port): &(String, u16)) -> RedisResult<ConnectionInfo> {
    let address = if target.tls {
        let (host, port) = (host.clone(), *port);
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host.clone(), *port)
    };
    let settings = match &target.topology {
        Topology::Sentinel { credentials, .. } => login(credentials, 0),
        Topology::Single | Topology::Cluster => login(&target.credentials, target.database),
    };
    let info = address.into_connection_info()?.set_redis_settings(settings);
    Ok(info.set_tcp_settings(tcp_settings()))
}

fn login(credentials: &Credentials, database: i64) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default().set_db(database);
    if let Some(username) = &credentials.username {
        info = info.set_username(username);
    }
    if let Some(password) = &credentials.password {
        info = info.set_password(password);
    }
    info
}

fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(TCP_SILENCE_MAX)
        .with_interval(Duration::from_secs(1));
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(TCP_SILENCE_MAX);
    settings
}

#[cfg(feature = "sentinel")]
fn behind_sentinel(target: &Target) -> deadpool_redis::sentinel::SentinelNodeConnectionInfo {
    use deadpool_redis::sentinel::{SentinelNodeConnectionInfo, TlsMode};
    SentinelNodeConnectionInfo {
        tls_mode: target.tls.then_some(TlsMode::Secure),
        redis_connection_info: Some(login(&target.credentials, target.database).into()),
    }
}
