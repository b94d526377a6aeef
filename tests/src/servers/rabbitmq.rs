//! A RabbitMQ node of one's own.

use super::{
    ReservedPort, ServerError,
    process::{Process, Workplace, answers, output, write_private},
    program,
};
use rustix::process::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use uuid::Uuid;

const SERVER: &str = "RabbitMQ";

/// A node takes some 5 s to start on an idle machine.
const START_WITHIN: Duration = Duration::from_secs(90);
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// `AMQP` 0-9-1, and the method `connection.start` that answers it: a frame of type 1 on channel 0.
const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
const METHOD_FRAME: &[u8] = &[1, 0, 0];

/// Asks Erlang's name server for the names it knows.
const NAMES_REQUEST: &[u8] = &[0, 1, b'n'];

/// A RabbitMQ node with one listener on loopback and the user `guest`.
#[derive(Debug)]
pub struct PrivateRabbit {
    // Dropped in this order: the node, its name server, then the directory.
    node: Process,
    _epmd: Process,
    workplace: Workplace,
    binary: PathBuf,
    port: ReservedPort,
    dist_port: ReservedPort,
    epmd_port: ReservedPort,
}

impl PrivateRabbit {
    /// Starts a node and waits until it accepts connections.
    ///
    /// # Errors
    /// RabbitMQ or Erlang is not installed, or the node does not start within 90 s.
    pub async fn start() -> Result<Self, ServerError> {
        // The script inside the package comes first: the one in Debian's PATH changes the user and
        // with it the settings.
        let candidates = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"];
        let binary = program(SERVER, &candidates)?;
        let epmd = program(SERVER, &["epmd"])?;

        let mut workplace = Workplace::new("rabbitmq")?;
        fs::create_dir(workplace.path("home"))?;
        let cookie = Uuid::new_v4().simple().to_string();
        write_private(&workplace.path("home/.erlang.cookie"), &cookie)?;
        fs::write(workplace.path("plugins"), "[].\n")?;
        // Alarms depend on what a test does, not on the machine it runs on.
        fs::write(
            workplace.path("rabbitmq.conf"),
            "disk_free_limit.absolute = 10MB\nvm_memory_high_watermark.absolute = 2GB\n",
        )?;

        let (port, dist_port, epmd_port) = (
            ReservedPort::new()?,
            ReservedPort::new()?,
            ReservedPort::new()?,
        );
        let mut name_server = Command::new(epmd);
        name_server
            .args(["-address", "127.0.0.1", "-port"])
            .arg(epmd_port.number().to_string());
        let mut epmd = workplace.spawn(&mut name_server)?;
        // It answers with its own port first.
        let reply = u32::from(epmd_port.number()).to_be_bytes();
        let listening = || answers(epmd_port.address(), NAMES_REQUEST, &reply);
        if !epmd.until(listening, START_WITHIN).await {
            return Err(did_not_start(&workplace));
        }
        let mut command = node_command(&binary, &workplace, [&port, &dist_port, &epmd_port]);
        let mut rabbit = Self {
            node: workplace.spawn(&mut command)?,
            _epmd: epmd,
            workplace,
            binary,
            port,
            dist_port,
            epmd_port,
        };
        rabbit.ready().await?;
        Ok(rabbit)
    }

    /// Its address; the same after a restart.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port.number())
    }

    /// Its host and port, for a proxy.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.port.address()
    }

    /// Kills it without warning, as a crash would.
    pub fn kill(&mut self) {
        self.node.kill();
    }

    /// Stops its processes where they are: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.node.signal_group(Signal::STOP);
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.node.signal_group(Signal::CONT);
    }

    /// Shuts it down in good order.
    pub async fn stop(&mut self) {
        self.node.terminate(STOP_WITHIN).await;
    }

    /// Starts it again, on the same port and with the same data. One that runs is killed first.
    ///
    /// # Errors
    /// It does not start within 90 s.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        self.kill();
        let mut command = node_command(&self.binary, &self.workplace, self.ports());
        self.node = self.workplace.spawn(&mut command)?;
        self.ready().await
    }

    /// Runs `rabbitmqctl` against it and returns what it printed.
    ///
    /// # Errors
    /// The tool is not installed or reports a failure.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String, ServerError> {
        let binary = program(
            SERVER,
            &["/usr/lib/rabbitmq/bin/rabbitmqctl", "rabbitmqctl"],
        )?;
        let mut command = node_command(&binary, &self.workplace, self.ports());
        command.args(["--quiet"]).args(arguments);
        output("rabbitmqctl", command).await
    }

    /// Raises the memory alarm: the node blocks every connection that publishes.
    ///
    /// # Errors
    /// As [`ctl`](Self::ctl).
    pub async fn block_publishers(&self) -> Result<(), ServerError> {
        self.memory_limit("1MB").await
    }

    /// Ends the alarm of [`block_publishers`](Self::block_publishers).
    ///
    /// # Errors
    /// As [`ctl`](Self::ctl).
    pub async fn unblock_publishers(&self) -> Result<(), ServerError> {
        self.memory_limit("2GB").await
    }

    async fn memory_limit(&self, limit: &str) -> Result<(), ServerError> {
        self.ctl(&["set_vm_memory_high_watermark", "absolute", limit])
            .await
            .map(drop)
    }

    fn ports(&self) -> [&ReservedPort; 3] {
        [&self.port, &self.dist_port, &self.epmd_port]
    }

    async fn ready(&mut self) -> Result<(), ServerError> {
        let address = self.port.address();
        let greeted = || answers(address, PROTOCOL_HEADER, METHOD_FRAME);
        if self.node.until(greeted, START_WITHIN).await {
            Ok(())
        } else {
            Err(did_not_start(&self.workplace))
        }
    }
}

fn did_not_start(workplace: &Workplace) -> ServerError {
    ServerError::DidNotStart {
        server: SERVER,
        log: workplace.log_tail(),
    }
}

/// A command of RabbitMQ's in the surroundings of this node.
fn node_command(
    binary: &Path,
    workplace: &Workplace,
    [port, dist_port, epmd_port]: [&ReservedPort; 3],
) -> Command {
    let mut command = Command::new(binary);
    command
        .env_remove("NOTIFY_SOCKET")
        .env("HOME", workplace.path("home"))
        .env("ERL_CRASH_DUMP", workplace.path("crash"))
        // The start script becomes the node, so that the process started is the one to signal.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", epmd_port.number().to_string())
        .env(
            "RABBITMQ_NODENAME",
            format!("replybus-{}@localhost", port.number()),
        )
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.number().to_string())
        .env("RABBITMQ_DIST_PORT", dist_port.number().to_string())
        .env("RABBITMQ_MNESIA_BASE", workplace.path("data"))
        .env("RABBITMQ_LOG_BASE", workplace.path("logs"))
        .env("RABBITMQ_PID_FILE", workplace.path("pid"))
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_CONFIG_FILE", workplace.path("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", workplace.path("plugins"))
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1}",
        );
    command
}
