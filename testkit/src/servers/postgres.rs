//! PostgreSQL, and a server of one's own.

#[cfg(feature = "live")]
use super::private::PrivateServer;
use super::{
    Installation, ServerError,
    account::Account,
    process::finished,
    program::{Launch, Probe, Program},
};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Asks a server whether it speaks TLS: the length of the message, and a number that stands for
/// `SSLRequest`. This one has no certificate and says no.
const TLS_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const NO: &[u8] = b"N";

/// PostgreSQL. A server has the user `postgres`, whom it trusts, and a database of that name.
#[derive(Debug)]
pub struct Postgres {
    installation: Installation,
    server: PathBuf,
    /// The account it runs as, if that is not ours: it refuses to run as root.
    account: Option<Account>,
}

impl Postgres {
    fn command(&self, program: &Path) -> Command {
        self.installation.command_as(self.account, program)
    }
}

impl Program for Postgres {
    const NAME: &'static str = "PostgreSQL";
    const PORTS: usize = 1;
    const START_WITHIN: Duration = Duration::from_secs(90);
    const STOP_WITHIN: Duration = Duration::from_secs(30);

    fn find(installation: &Installation) -> Result<Self, ServerError> {
        // A server is of use only with the tool that makes its directory.
        let mut candidates =
            installation.versions(Path::new("/usr/lib/postgresql"), "", "bin/initdb");
        candidates.push("initdb".into());
        let initdb = installation.program(Self::NAME, &candidates)?;
        // A link in PATH leads to the directory that has both.
        let initdb = installation.resolved(&initdb)?;
        let server = installation.program(Self::NAME, &[initdb.with_file_name("postgres")])?;
        let account = if rustix::process::geteuid().is_root() {
            Account::of_servers()
        } else {
            None
        };
        Ok(Self {
            installation: installation.clone(),
            server,
            account,
        })
    }

    fn lay_out(&self, directory: &Path) -> Result<(), ServerError> {
        let data = directory.join("data");
        fs::DirBuilder::new().mode(0o700).create(&data)?;
        if let Some(Account { user, group }) = self.account {
            // Others may pass through, and not look around.
            fs::set_permissions(directory, fs::Permissions::from_mode(0o711))?;
            chown(&data, Some(user), Some(group))?;
        }
        let mut initdb = self.command(&self.server.with_file_name("initdb"));
        initdb
            .current_dir("/")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8"])
            .args(["--locale=C", "--no-sync", "-D"])
            .arg(&data);
        finished("initdb", initdb).map(drop)
    }

    fn processes(&self, directory: &Path, ports: &[u16]) -> Vec<Launch> {
        let port = ports.first().copied().unwrap_or_default();
        let mut command = self.command(&self.server);
        command
            .arg("-D")
            .arg(directory.join("data"))
            .args(["-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            // What a machine that crashes loses is of no use to anybody.
            .args(["-c", "fsync=off"]);
        vec![Launch {
            command,
            ready: Probe::new(port, TLS_REQUEST, NO),
        }]
    }

    fn url(port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    }
}

/// A PostgreSQL server on loopback, which trusts the user `postgres`.
#[cfg(feature = "live")]
pub type PrivatePostgres = PrivateServer<Postgres>;

#[cfg(feature = "live")]
impl PrivateServer<Postgres> {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start within 90 s.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the server is killed.
    pub async fn start() -> Result<Self, ServerError> {
        Self::launch(Postgres::find(&Installation::chosen()?)?).await
    }
}
