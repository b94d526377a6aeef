//! PostgreSQL, and a server of one's own.

#[cfg(feature = "live")]
use super::private::{LOOK_EVERY, PrivateServer, output};
use super::{
    Installation, ServerError, TlsFiles,
    account::Account,
    process::finished,
    program::{Launch, Probe, Program},
};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
#[cfg(feature = "live")]
use tokio::time::{Instant, sleep};

/// Asks a server whether it speaks TLS: the length of the message, and a number that stands for
/// `SSLRequest`.
const TLS_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// The log of what is written is in files of so many MiB.
const LOG_SEGMENT_MB: u64 = 1;

const NO: &[u8] = b"N";
const YES: &[u8] = b"S";

/// Who may connect to a server that speaks TLS: who shows a certificate.
const ENCRYPTED_ONLY: &str = "hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n";

/// PostgreSQL. A server has the user `postgres`, whom it trusts, and a database of that name.
#[derive(Debug)]
pub struct Postgres {
    installation: Installation,
    server: PathBuf,
    /// The account it runs as, if that is not ours: it refuses to run as root.
    account: Option<Account>,
    tls: Option<TlsFiles>,
    part: Part,
}

/// The part of a server beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Alone,
    /// What it acknowledges its standby has, too.
    Primary,
    /// The standby of the server at this port.
    Standby(u16),
}

impl Postgres {
    /// Lets it speak TLS only, and ask its clients for a certificate. The files are copied to
    /// `ca.pem`, `cert.pem` and `key.pem` in its directory `data`.
    #[must_use]
    pub fn tls(mut self, files: &TlsFiles) -> Self {
        self.tls = Some(files.clone());
        self
    }

    /// Puts a file of a server's own among its data.
    fn place(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        fs::write(path, content)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        match self.account {
            Some(Account { user, group }) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

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
            tls: None,
            part: Part::Alone,
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
        if let Part::Standby(primary) = self.part {
            let mut copy = self.command(&self.server.with_file_name("pg_basebackup"));
            copy.current_dir("/")
                .args(["-h", "127.0.0.1", "-p", &primary.to_string()])
                .args(["-U", "postgres", "--no-password", "--write-recovery-conf"])
                .args(["--checkpoint=fast", "--no-sync", "-D"])
                .arg(&data);
            finished("pg_basebackup", copy)?;
            return Ok(());
        }
        let mut initdb = self.command(&self.server.with_file_name("initdb"));
        initdb
            .current_dir("/")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8"])
            // So small that a disk can be full for a table, and not for the log.
            .arg(format!("--wal-segsize={LOG_SEGMENT_MB}"))
            .args(["--locale=C", "--no-sync", "-D"])
            .arg(&data);
        finished("initdb", initdb)?;
        if let Some(files) = &self.tls {
            self.place(&data.join("pg_hba.conf"), ENCRYPTED_ONLY.as_bytes())?;
            for (name, path) in [
                ("ca.pem", &files.authority),
                ("cert.pem", &files.certificate),
                ("key.pem", &files.key),
            ] {
                self.place(&data.join(name), &fs::read(path)?)?;
            }
        }
        Ok(())
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
        if self.part == Part::Primary {
            command.args(["-c", "synchronous_standby_names=*"]);
        }
        let mut answer = NO;
        if self.tls.is_some() {
            answer = YES;
            command
                .args(["-c", "ssl=on"])
                .args(["-c", "ssl_ca_file=ca.pem"])
                .args(["-c", "ssl_cert_file=cert.pem"])
                .args(["-c", "ssl_key_file=key.pem"]);
        }
        vec![Launch {
            command,
            ready: Probe::new(port, TLS_REQUEST, answer),
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
        Self::set_up(|postgres| postgres).await
    }

    /// Starts a server that is set as a test needs it, and waits until it answers.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    /// As [`start`](Self::start).
    pub async fn set_up(set: impl FnOnce(Postgres) -> Postgres) -> Result<Self, ServerError> {
        Self::launch(set(Postgres::find(&Installation::chosen()?)?)).await
    }

    /// Starts a server and its standby, and waits until both answer. From then on the first one
    /// acknowledges what both have.
    ///
    /// # Errors
    /// As [`start`](Self::start), of each of them.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, both are killed.
    pub async fn with_standby() -> Result<[Self; 2], ServerError> {
        let primary = Self::set_up(|mut postgres| {
            postgres.part = Part::Primary;
            postgres
        });
        let primary = primary.await?;
        let end = Instant::now() + Postgres::START_WITHIN;
        loop {
            let standby = Self::set_up(|mut postgres| {
                postgres.part = Part::Standby(primary.port());
                postgres
            });
            match standby.await {
                Ok(standby) => return Ok([primary, standby]),
                // A server answers before it lets anybody in.
                Err(ServerError::Tool { .. }) if Instant::now() < end => sleep(LOOK_EVERY).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes a standby the server that is written to, whatever became of the one before, and waits
    /// until it is.
    ///
    /// # Errors
    /// It is none, or it can't be reached.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may become one.
    pub async fn promote(&self) -> Result<(), ServerError> {
        let program = self.program();
        let mut promote = program.command(&program.server.with_file_name("pg_ctl"));
        promote
            .current_dir("/")
            .args(["promote", "--wait", "-D"])
            .arg(self.path("data"));
        output("pg_ctl", promote).await.map(drop)
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

    /// The same for tables and indexes, with room for the log of what is written: who needs a new page
    /// is told that there is none.
    ///
    /// # Errors
    /// As [`fill_disk`](Self::fill_disk).
    ///
    /// # Cancel safety
    /// As [`fill_disk`](Self::fill_disk).
    pub async fn fill_disk_of_tables(&self) -> Result<(), ServerError> {
        const MIB: u64 = 1024 * 1024;
        // The last page that would fit is cut in half. Of that PostgreSQL says that its disk is full.
        self.fill_disk(LOG_SEGMENT_MB * MIB + 4096).await
    }

    fn prlimit(&self) -> Command {
        self.program().command(Path::new("prlimit"))
    }
}
