//! RabbitMQ, and a node of one's own.

mod release;

#[cfg(feature = "live")]
use super::private::{PrivateServer, output};
use super::{
    Installation, ReservedPort, ServerError, TlsFiles,
    program::{Launch, Probe, Program},
};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
#[cfg(feature = "live")]
use tokio::task::JoinSet;

/// `AMQP` 0-9-1, and how the method `connection.start` that answers it begins: a frame of type 1 on
/// channel 0.
const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
const METHOD_FRAME: &[u8] = &[1, 0, 0];

/// Asks Erlang's name server for the names it knows. It answers with its own port first.
const NAMES_REQUEST: &[u8] = &[0, 1, b'n'];

/// Where a package puts a release, and how that is called before its version.
const RELEASES: &str = "/usr/lib/rabbitmq/lib";
const RELEASE: &str = "rabbitmq_server-";

/// Alarms depend on what a test does, not on the machine it runs on. Of a cluster only a majority
/// goes on.
const CONFIGURATION: &str = "\
cluster_partition_handling = pause_minority
disk_free_limit.absolute = 10MB
vm_memory_high_watermark.absolute = 2GB
";

/// RabbitMQ and the name server of Erlang. A node has the user `guest`, and needs ports for its
/// clients, for other nodes, and for its name server.
#[derive(Debug)]
pub struct RabbitMq {
    installation: Installation,
    server: PathBuf,
    name_server: PathBuf,
    /// The cluster that the node joins, if it does not stand alone.
    cluster: Option<Cluster>,
    tls: Option<(ReservedPort, TlsFiles)>,
    /// Lines of its configuration beside ours.
    settings: Vec<String>,
}

/// What a node must know of the first one of its cluster.
#[derive(Debug, Clone)]
struct Cluster {
    /// The ports of the first node, whose name server knows all of them.
    first: Vec<u16>,
    /// The secret by which nodes know each other.
    cookie: String,
}

impl RabbitMq {
    /// Lets it also listen at this port, for clients that speak TLS and show a certificate.
    #[must_use]
    pub fn tls(mut self, port: ReservedPort, files: &TlsFiles) -> Self {
        self.tls = Some((port, files.clone()));
        self
    }

    /// Adds a line to its configuration, `name = value`. A node does not start with a name that it
    /// does not know.
    #[must_use]
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    fn configuration(&self) -> String {
        let settings: String = self
            .settings
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        let Some((port, files)) = &self.tls else {
            return format!("{CONFIGURATION}{settings}");
        };
        let (address, [authority, certificate, key]) = (port.address(), files.shown());
        format!(
            "{CONFIGURATION}{settings}\
             listeners.ssl.1 = {address}\n\
             ssl_options.cacertfile = {authority}\n\
             ssl_options.certfile = {certificate}\n\
             ssl_options.keyfile = {key}\n\
             ssl_options.verify = verify_peer\n\
             ssl_options.fail_if_no_peer_cert = true\n"
        )
    }
}

impl Program for RabbitMq {
    const NAME: &'static str = "RabbitMQ";
    const PORTS: usize = 3;
    // Some 5 s on an idle machine.
    const START_WITHIN: Duration = Duration::from_secs(180);
    const STOP_WITHIN: Duration = Duration::from_secs(60);

    fn find(installation: &Installation) -> Result<Self, ServerError> {
        let erlang = installation.program(Self::NAME, &["erl"])?;
        // In PATH, or beside Erlang's own files.
        let mut name_servers = vec![PathBuf::from("epmd")];
        if let Some(root) = installation
            .resolved(&erlang)
            .ok()
            .as_deref()
            .and_then(Path::parent)
            .and_then(Path::parent)
        {
            name_servers.extend(installation.versions(root, "erts-", "bin/epmd"));
        }
        Ok(Self {
            server: tool(installation, "rabbitmq-server")?,
            name_server: installation.program(Self::NAME, &name_servers)?,
            installation: installation.clone(),
            cluster: None,
            tls: None,
            settings: Vec::new(),
        })
    }

    fn lay_out(&self, directory: &Path) -> Result<(), ServerError> {
        fs::create_dir(directory.join("home"))?;
        let mut cookie = File::options()
            .write(true)
            .create_new(true)
            // Erlang refuses one that others can read.
            .mode(0o400)
            .open(directory.join("home/.erlang.cookie"))?;
        match &self.cluster {
            Some(cluster) => write!(cookie, "{}", cluster.cookie)?,
            None => write!(cookie, "{}", secret()?)?,
        }
        fs::write(directory.join("plugins"), "[].\n")?;
        fs::write(directory.join("rabbitmq.conf"), self.configuration())?;
        Ok(())
    }

    fn processes(&self, directory: &Path, ports: &[u16]) -> Vec<Launch> {
        let [port, _, names] = ports_of(ports);
        let node = Launch {
            command: self.surrounded(&self.server, directory, ports),
            ready: Probe::new(port, PROTOCOL_HEADER, METHOD_FRAME),
        };
        if self.cluster.is_some() {
            return vec![node];
        }
        let mut name_server = self.installation.command(&self.name_server);
        name_server.env("HOME", directory.join("home")).args([
            "-address",
            "127.0.0.1",
            "-port",
            &names.to_string(),
        ]);
        let own_port = u32::from(names).to_be_bytes();
        vec![
            Launch {
                command: name_server,
                ready: Probe::new(names, NAMES_REQUEST, &own_port),
            },
            node,
        ]
    }

    fn url(port: u16) -> String {
        format!("amqp://guest:guest@127.0.0.1:{port}/%2f")
    }
}

/// Ports of a node's own.
fn ports_of(ports: &[u16]) -> [u16; RabbitMq::PORTS] {
    let mut own = [0; RabbitMq::PORTS];
    own.iter_mut()
        .zip(ports)
        .for_each(|(own, port)| *own = *port);
    own
}

/// A script of RabbitMQ's. The one inside the package comes first: the one in Debian's `PATH`
/// changes the user, and with it the settings.
fn tool(installation: &Installation, name: &str) -> Result<PathBuf, ServerError> {
    let mut candidates = vec![Path::new("/usr/lib/rabbitmq/bin").join(name)];
    let script = format!("sbin/{name}");
    candidates.extend(installation.versions(Path::new(RELEASES), RELEASE, &script));
    candidates.push(name.into());
    installation.program(RabbitMq::NAME, &candidates)
}

/// The name of the node whose first port this is. It needs no quotes in Erlang.
fn name(port: u16) -> String {
    format!("replybus_{port}@localhost")
}

impl RabbitMq {
    /// A script of RabbitMQ's in the surroundings of one node.
    fn surrounded(&self, script: &Path, directory: &Path, ports: &[u16]) -> Command {
        let [port, others, own_names] = ports_of(ports);
        let first = self
            .cluster
            .as_ref()
            .map(|cluster| ports_of(&cluster.first));
        let mut arguments = "-kernel inet_dist_use_interface {127,0,0,1}".to_owned();
        // What a quorum queue of delays handed on while a node went down is offered again after this,
        // in milliseconds, and not after 3 minutes.
        arguments += " -rabbit dead_letter_worker_publisher_confirm_timeout 10000";
        if let Some([first, ..]) = first {
            let nodes = [name(first), name(port)].join(",");
            arguments += &format!(" -rabbit cluster_nodes {{[{nodes}],disc}}");
        }
        let names = first.map_or(own_names, |[_, _, names]| names);
        let mut command = self.installation.command(script);
        command
            .env_remove("NOTIFY_SOCKET")
            .env("HOME", directory.join("home"))
            .env("ERL_CRASH_DUMP", directory.join("crash"))
            // The start script becomes the node, so that the process started is the one to signal.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", names.to_string())
            .env("RABBITMQ_NODENAME", name(port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", others.to_string())
            .env("RABBITMQ_MNESIA_BASE", directory.join("data"))
            .env("RABBITMQ_LOG_BASE", directory.join("logs"))
            .env("RABBITMQ_PID_FILE", directory.join("pid"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", directory.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", directory.join("plugins"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", arguments);
        command
    }
}

/// 128 bits that nobody else knows, in hexadecimal.
fn secret() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A RabbitMQ node with one listener on loopback and the user `guest`.
#[cfg(feature = "live")]
pub type PrivateRabbit = PrivateServer<RabbitMq>;

#[cfg(feature = "live")]
impl PrivateServer<RabbitMq> {
    /// Starts a node and waits until it accepts connections.
    ///
    /// # Errors
    /// RabbitMQ or Erlang is not installed, or the node does not start within 3 minutes.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the node is killed.
    pub async fn start() -> Result<Self, ServerError> {
        Self::set_up(|rabbit| rabbit).await
    }

    /// Starts a node that is set as a test needs it, and waits until it accepts connections.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    /// As [`start`](Self::start).
    pub async fn set_up(set: impl FnOnce(RabbitMq) -> RabbitMq) -> Result<Self, ServerError> {
        Self::launch(set(RabbitMq::find(&Installation::chosen()?)?)).await
    }

    /// Starts a cluster of as many nodes, and waits until all accept connections. The first one has
    /// the name server of all, which stays when it is killed.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, its nodes are killed.
    pub async fn cluster(nodes: usize) -> Result<Vec<Self>, ServerError> {
        let first = Self::start().await?;
        let cluster = Cluster {
            first: first.ports(),
            cookie: fs::read_to_string(first.path("home/.erlang.cookie"))?,
        };
        // They start beside each other.
        let mut starting = JoinSet::new();
        for _ in 1..nodes {
            let mut node = RabbitMq::find(&Installation::chosen()?)?;
            node.cluster = Some(cluster.clone());
            starting.spawn(Self::launch(node));
        }
        let mut started = vec![first];
        while let Some(node) = starting.join_next().await {
            started.push(node.map_err(io::Error::other)??);
        }
        Ok(started)
    }

    /// The name by which the nodes of a cluster know it.
    #[must_use]
    pub fn node(&self) -> String {
        name(self.port())
    }

    /// Runs `rabbitmqctl` against it and returns what it printed.
    ///
    /// # Errors
    /// The tool is not installed or reports a failure.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the tool runs on.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String, ServerError> {
        let program = self.program();
        let script = tool(&program.installation, "rabbitmqctl")?;
        let mut command = program.surrounded(&script, self.directory(), &self.ports());
        command.args(["--quiet"]).args(arguments);
        output("rabbitmqctl", command).await
    }

    /// Raises the memory alarm: the node blocks every connection that publishes.
    ///
    /// # Errors
    /// As [`ctl`](Self::ctl).
    ///
    /// # Cancel safety
    /// As [`ctl`](Self::ctl).
    pub async fn block_publishers(&self) -> Result<(), ServerError> {
        self.memory_limit("1MB").await
    }

    /// Ends the alarm of [`block_publishers`](Self::block_publishers).
    ///
    /// # Errors
    /// As [`ctl`](Self::ctl).
    ///
    /// # Cancel safety
    /// As [`ctl`](Self::ctl).
    pub async fn unblock_publishers(&self) -> Result<(), ServerError> {
        self.memory_limit("2GB").await
    }

    /// Raises the disk alarm, as a disk that is nearly full does: the node blocks every connection
    /// that publishes.
    ///
    /// # Errors
    /// As [`ctl`](Self::ctl).
    ///
    /// # Cancel safety
    /// As [`ctl`](Self::ctl).
    pub async fn disk_is_full(&self) -> Result<(), ServerError> {
        // More than there is anywhere.
        self.disk_limit("1000000GB").await
    }

    /// Ends the alarm of [`disk_is_full`](Self::disk_is_full).
    ///
    /// # Errors
    /// As [`ctl`](Self::ctl).
    ///
    /// # Cancel safety
    /// As [`ctl`](Self::ctl).
    pub async fn disk_has_room(&self) -> Result<(), ServerError> {
        self.disk_limit("10MB").await
    }

    async fn disk_limit(&self, limit: &str) -> Result<(), ServerError> {
        self.ctl(&["set_disk_free_limit", limit]).await.map(drop)
    }

    async fn memory_limit(&self, limit: &str) -> Result<(), ServerError> {
        self.ctl(&["set_vm_memory_high_watermark", "absolute", limit])
            .await
            .map(drop)
    }
}
