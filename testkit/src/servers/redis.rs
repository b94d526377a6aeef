//! Redis, and servers of one's own: one alone, the nodes of a cluster, a sentinel.

use super::{
    Installation, ServerError, Store, TlsFiles, WallClock,
    installation::major,
    process::finished,
    program::{Launch, Probe, Program},
};
#[cfg(feature = "live")]
use super::{
    ReservedPort,
    private::{LOOK_EVERY, PrivateServer, output},
};
#[cfg(feature = "live")]
use std::process::Command;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Becomes a program that is not ended by a file that may not grow, but told so.
const OUTLIVE_LIMITS: &str = r#"trap '' XFSZ; exec "$0" "$@""#;

/// The file of a server that rewrites its own settings.
const CONFIGURATION: &str = "redis.conf";

/// The data that a Redis server still has after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing.
    None,
    /// All but what it had acknowledged in the last second or two (`appendonly yes`, `appendfsync
    /// everysec`, Redis's own default). It goes on when it can't write it down.
    EverySecond,
    /// All that it had acknowledged (`appendonly yes`, `appendfsync always`).
    AppendOnly,
}

/// Redis, or Valkey. A server keeps nothing and asks for no password unless it is told to.
#[derive(Debug)]
pub struct Redis {
    installation: Installation,
    server: PathBuf,
    arguments: Vec<String>,
    configuration: Option<String>,
    clock: Vec<(&'static str, String)>,
    speaks: Speaks,
}

/// The answer of a server to somebody who does not log in.
#[derive(Debug, Clone, Copy)]
enum Speaks {
    Freely,
    ToUsers,
    Tls,
}

impl Redis {
    /// Adds arguments of the command line, such as `--maxmemory`, `1mb`.
    #[must_use]
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Lets it keep this over a restart.
    #[must_use]
    pub fn persistence(self, persistence: Persistence) -> Self {
        match persistence {
            Persistence::None => self,
            Persistence::AppendOnly => {
                self.arguments(["--appendonly", "yes", "--appendfsync", "always"])
            }
            Persistence::EverySecond => {
                self.arguments(["--appendonly", "yes", "--appendfsync", "everysec"])
            }
        }
    }

    /// Lets it ask for a password, also as a replica of its master.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.speaks = Speaks::ToUsers;
        self.arguments(["--requirepass", password, "--masterauth", password])
    }

    /// Lets it speak TLS only, and ask its clients for a certificate.
    #[must_use]
    pub fn tls(mut self, files: &TlsFiles) -> Self {
        self.speaks = Speaks::Tls;
        for (argument, path) in [
            ("--tls-cert-file", &files.certificate),
            ("--tls-key-file", &files.key),
            ("--tls-ca-cert-file", &files.authority),
        ] {
            self = self.arguments([argument.to_owned(), path.display().to_string()]);
        }
        self.arguments(["--tls-auth-clients", "yes"])
    }

    /// Lets it see this clock on the wall.
    ///
    /// # Errors
    /// The library that shows it is not where the server is, or the server can't be shown one. Blocks:
    /// it is asked for its version.
    pub fn clock(mut self, clock: &WallClock) -> Result<Self, ServerError> {
        self.check_allocator()?;
        self.clock = clock.variables_in(&self.installation)?;
        Ok(self)
    }

    /// Refuses a server that asks jemalloc for memory by more than `malloc`, so that another allocator
    /// can't stand in for it.
    fn check_allocator(&self) -> Result<(), ServerError> {
        let mut version = self.installation.command(&self.server);
        version.arg("--version");
        let said = finished("redis-server", version)?;
        // `Redis server v=7.0.15 sha=..`
        let found = said.split_once("v=").map_or("", |(_, found)| found);
        let found = found.split_whitespace().next().unwrap_or_default();
        match major(found) {
            Some(..=7) => Ok(()),
            _ => Err(ServerError::Unfit {
                server: Self::NAME,
                found: found.to_owned(),
                needed: "7 or earlier, to which libfaketime can show a clock,",
            }),
        }
    }

    /// Makes it a sentinel with these settings, a line each. It rewrites them.
    #[must_use]
    pub fn sentinel(mut self, settings: &[String]) -> Self {
        self.configuration = Some(settings.join("\n"));
        self
    }
}

impl Program for Redis {
    const NAME: &'static str = "Redis";
    const PORTS: usize = 1;
    const START_WITHIN: Duration = Duration::from_secs(90);
    const STOP_WITHIN: Duration = Duration::from_secs(30);

    fn find(installation: &Installation) -> Result<Self, ServerError> {
        let candidates = either(installation, ["redis-server", "valkey-server"]);
        Ok(Self {
            installation: installation.clone(),
            server: installation.program(Self::NAME, &candidates)?,
            arguments: Vec::new(),
            configuration: None,
            clock: Vec::new(),
            speaks: Speaks::Freely,
        })
    }

    fn lay_out(&self, directory: &Path) -> Result<(), ServerError> {
        if let Some(configuration) = &self.configuration {
            fs::write(directory.join(CONFIGURATION), configuration)?;
        }
        Ok(())
    }

    fn processes(&self, _: &Path, ports: &[u16]) -> Vec<Launch> {
        let port = ports.first().copied().unwrap_or_default();
        let number = port.to_string();
        let mut command = self.installation.command(Path::new("sh"));
        command.args(["-c", OUTLIVE_LIMITS]);
        if !self.clock.is_empty() {
            // The server alone: what begins it sees the clock of the machine.
            let variables = self.clock.iter();
            let variables = variables.map(|(name, value)| format!("{name}={value}"));
            command.arg("env").args(variables);
        }
        command.arg(&self.server);
        if self.configuration.is_some() {
            command.args([CONFIGURATION, "--sentinel"]);
        } else {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        let (plain, tls) = match self.speaks {
            Speaks::Tls => ("0", number.as_str()),
            Speaks::Freely | Speaks::ToUsers => (number.as_str(), "0"),
        };
        command.args(["--port", plain]);
        if tls != "0" {
            command.args(["--tls-port", tls]);
        }
        command
            .args(["--bind", "127.0.0.1", "--daemonize", "no"])
            .args(&self.arguments);
        let ready = match self.speaks {
            // Not while it still loads its data.
            Speaks::Freely => Probe::new(port, b"PING\r\n", b"+PONG"),
            Speaks::ToUsers => Probe::new(port, b"PING\r\n", b"-NOAUTH"),
            Speaks::Tls => Probe::new(port, b"", b""),
        };
        vec![Launch { command, ready }]
    }

    fn url(port: u16) -> String {
        format!("redis://127.0.0.1:{port}/0")
    }
}

/// A Redis server on loopback.
#[cfg(feature = "live")]
pub type PrivateRedis = PrivateServer<Redis>;

#[cfg(feature = "live")]
impl PrivateServer<Redis> {
    /// Starts a server without a password and waits until it answers.
    ///
    /// # Errors
    /// Redis is not installed, or does not start within 90 s.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the server is killed.
    pub async fn start(persistence: Persistence) -> Result<Self, ServerError> {
        Self::set_up(|redis| redis.persistence(persistence)).await
    }

    /// Starts a server that is set as a test needs it, and waits until it answers.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    /// As [`start`](Self::start).
    pub async fn set_up(set: impl FnOnce(Redis) -> Redis) -> Result<Self, ServerError> {
        Self::launch(set(Redis::find(&Installation::chosen()?)?)).await
    }

    /// Starts a server that keeps nothing and sees this clock on the wall.
    ///
    /// # Errors
    /// As [`start`](Self::start), or the library that shows the clock is not where the server is.
    ///
    /// # Cancel safety
    /// As [`start`](Self::start).
    pub async fn by(clock: &WallClock) -> Result<Self, ServerError> {
        Self::launch(Redis::find(&Installation::chosen()?)?.clock(clock)?).await
    }

    /// Starts a Redis Cluster of as many masters and no replicas, and waits until all of them say
    /// that it is up.
    ///
    /// # Errors
    /// Redis is not installed, or the cluster does not start in time.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, its nodes are killed.
    pub async fn cluster(nodes: usize) -> Result<Vec<Self>, ServerError> {
        Self::clustered(nodes, 0).await
    }

    /// The same with a replica of each master. The masters come first.
    ///
    /// # Errors
    /// As [`cluster`](Self::cluster).
    ///
    /// # Cancel safety
    /// As [`cluster`](Self::cluster).
    pub async fn cluster_with_replicas(masters: usize) -> Result<Vec<Self>, ServerError> {
        Self::clustered(masters, 1).await
    }

    async fn clustered(masters: usize, replicas: usize) -> Result<Vec<Self>, ServerError> {
        let installation = Installation::chosen()?;
        let mut cluster = Vec::new();
        for _ in 0..masters * (1 + replicas) {
            let settings = [
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "2000",
                // A master that gives all of its slots away stays one.
                "--cluster-allow-replica-migration",
                "no",
            ];
            let node = Redis::find(&installation)?.arguments(settings);
            cluster.push(Self::launch_on(node, ReservedPort::pair()?.into()).await?);
        }
        let mut create = client(&installation)?;
        create
            .args(["--cluster", "create"])
            .args(cluster.iter().map(|node| node.address().to_string()))
            .args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]);
        output("redis-cli", create).await?;
        let end = tokio::time::Instant::now() + Redis::START_WITHIN;
        for node in &cluster {
            loop {
                let info = node.cli(&["cluster", "info"]).await?;
                if info.contains("cluster_state:ok") {
                    break;
                }
                if tokio::time::Instant::now() > end {
                    let (server, log) = (Redis::NAME, info);
                    return Err(ServerError::DidNotStart { server, log });
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(cluster)
    }

    /// Fills its disk: there is room for so many bytes in each of its files, and no more, until
    /// [`free_disk`](Self::free_disk) or a restart.
    ///
    /// # Errors
    /// The server has ended, or there is no `prlimit`, which Linux has.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the tool runs on.
    pub async fn fill_disk(&self, bytes: u64) -> Result<(), ServerError> {
        self.leave_room(|| self.prlimit(), Some(bytes)).await
    }

    /// Makes room on the disk that [`fill_disk`](Self::fill_disk) has filled.
    ///
    /// # Errors
    /// As [`fill_disk`](Self::fill_disk).
    ///
    /// # Cancel safety
    /// As [`fill_disk`](Self::fill_disk).
    pub async fn free_disk(&self) -> Result<(), ServerError> {
        self.leave_room(|| self.prlimit(), None).await
    }

    fn prlimit(&self) -> Command {
        self.program().installation.command(Path::new("prlimit"))
    }

    /// Runs one command through `redis-cli` and returns what it printed.
    ///
    /// # Errors
    /// The tool is not installed or can't reach the server.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the tool runs on.
    pub async fn cli(&self, arguments: &[&str]) -> Result<String, ServerError> {
        let mut command = client(&self.program().installation)?;
        command
            .args(["-h", "127.0.0.1", "-p", &self.port().to_string()])
            .args(arguments);
        output("redis-cli", command).await
    }
}

#[cfg(feature = "live")]
fn client(installation: &Installation) -> Result<Command, ServerError> {
    let candidates = either(installation, ["redis-cli", "valkey-cli"]);
    let client = installation.program(Redis::NAME, &candidates)?;
    Ok(installation.command(&client))
}

/// Of a program of Redis and the one of Valkey's those that may be taken.
fn either(installation: &Installation, programs: [&'static str; 2]) -> Vec<&'static str> {
    let [redis, valkey] = programs;
    match installation.chosen_store() {
        Some(Store::Redis) => vec![redis],
        Some(Store::Valkey) => vec![valkey],
        None => vec![redis, valkey],
    }
}
