//! A bank as processes, which may be killed one by one.

use crate::{
    Visitor,
    site::{Servers, Site},
};
use anyhow::{Context as _, Result, bail, ensure};
use chassis::keys::Keys;
use contracts::program::{
    ACCOUNT_SERVICE, API_PRODUCER, AUTH_SERVICE, NOTIFICATION_SERVICE, TRANSFER_SERVICE,
};
use futures_util::FutureExt as _;
use replybus_tests::servers::{Process, ReservedPort, Workplace};
use std::{
    fs,
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// What the administrator of every bank here says.
pub const ADMIN_SECRET: &str = "open-the-vault-now";

/// A debug build on a machine that does much else has started, and made its tables, within this.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Connections to PostgreSQL of one process: 7 of them have databases, and a server gives 100 to
/// all that goes on at once.
const DATABASE_CONNECTIONS: &str = "5";

/// Settings that a process must not inherit from whoever runs it.
const SETTINGS: [&str; 11] = [
    "RABBITMQ_URL",
    "REDIS_URL",
    "DATABASE_URL",
    "DATABASE_CONNECTIONS",
    "KEYS_DIR",
    "BUS_NAMESPACE",
    "PROBE_ADDR",
    "LOG_FORMAT",
    "HTTP_ADDR",
    "ADMIN_SECRET",
    "SESSION_TTL_SECONDS",
];

/// The program that serves: `{path} {arguments} serve {service}`.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// What comes before `serve`.
    pub arguments: Vec<String>,
}

/// A service of the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Users and sessions.
    Auth,
    /// Accounts and the ledger.
    Account,
    /// Transfers between users.
    Transfer,
    /// What users are told.
    Notification,
    /// The HTTP gateway.
    Gateway,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Auth,
        Self::Account,
        Self::Transfer,
        Self::Notification,
        Self::Gateway,
    ];

    /// The name by which the program knows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => AUTH_SERVICE,
            Self::Account => ACCOUNT_SERVICE,
            Self::Transfer => TRANSFER_SERVICE,
            Self::Notification => NOTIFICATION_SERVICE,
            Self::Gateway => API_PRODUCER,
        }
    }

    /// Where the gateway is asked for its health.
    #[must_use]
    pub const fn health(self) -> &'static str {
        match self {
            Self::Auth => "/api/auth/health",
            Self::Account => "/api/account/health",
            Self::Transfer => "/api/transfer/health",
            Self::Notification => "/api/notifications/health",
            Self::Gateway => "/health",
        }
    }

    /// How many of it there are in a bank of many processes.
    const fn replicas(self) -> usize {
        match self {
            // A password's hash keeps a processor busy: a second one would have none left.
            Self::Auth => 1,
            Self::Account | Self::Transfer | Self::Notification | Self::Gateway => 2,
        }
    }
}

/// A bank that runs. To be [closed](Self::close); what a bank that is dropped has on shared servers
/// is left there, its processes are not.
#[allow(
    missing_debug_implementations,
    reason = "it knows addresses that hold passwords"
)]
pub struct Bank {
    program: Program,
    environment: Vec<(&'static str, String)>,
    // Before the workplace: a process is gone before its directory is.
    replicas: Mutex<Vec<Replica>>,
    workplace: Mutex<Workplace>,
    visitors: Vec<Visitor>,
    site: Option<Site>,
}

/// One process, or the place of one that was killed.
struct Replica {
    /// All of them, if it is none.
    service: Option<Service>,
    /// Kept over its restarts.
    port: Option<ReservedPort>,
    process: Option<Process>,
}

impl Bank {
    /// A bank in one process, with its defaults.
    ///
    /// # Errors
    /// It does not start.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the process is killed.
    pub async fn embedded(program: Program) -> Result<Self> {
        let environment = vec![
            ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
            ("ADMIN_SECRET", ADMIN_SECRET.to_owned()),
        ];
        let mut bank = Self::new(program, environment, None)?;
        let all = Replica {
            service: None,
            port: None,
            process: None,
        };
        bank.locked_replicas().push(all);
        bank.start(0)?;
        let end = Instant::now() + READY_WITHIN;
        let url = loop {
            let log = fs::read_to_string(bank.locked_workplace().path("log"))?;
            let line = log
                .lines()
                .find_map(|line| line.strip_prefix("listening on "));
            if let Some(url) = line {
                break url.parse().context("the bank listens on no address")?;
            }
            bank.wait_a_little(end).await?;
        };
        bank.visitors.push(Visitor::new(url)?);
        bank.ready().await?;
        Ok(bank)
    }

    /// A bank on real servers, each replica of each service in a process of its own.
    ///
    /// # Errors
    /// A server refuses, or a process does not start.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the processes are killed, and a database may be left.
    pub async fn live(program: Program, servers: Servers) -> Result<Self> {
        let site = Site::open(servers).await?;
        let mut environment = site.environment()?;
        environment.push(("DATABASE_CONNECTIONS", DATABASE_CONNECTIONS.to_owned()));
        environment.push(("ADMIN_SECRET", ADMIN_SECRET.to_owned()));
        let mut bank = Self::new(program, environment, Some(site))?;
        let keys = bank.locked_workplace().path("keys");
        Keys::write_new(&keys)?;
        let keys = keys.into_os_string().into_string();
        let Ok(keys) = keys else {
            bail!("the directory of temporary files is no text");
        };
        bank.environment.push(("KEYS_DIR", keys));
        let opened = bank.open_live().await;
        match opened {
            Ok(()) => Ok(bank),
            Err(error) => {
                // The reason that it did not start is the one to tell.
                let _ = bank.close().await;
                Err(error)
            }
        }
    }

    fn new(
        program: Program,
        environment: Vec<(&'static str, String)>,
        site: Option<Site>,
    ) -> Result<Self> {
        Ok(Self {
            program,
            environment,
            replicas: Mutex::default(),
            workplace: Mutex::new(Workplace::new("bank")?),
            visitors: Vec::new(),
            site,
        })
    }

    async fn open_live(&mut self) -> Result<()> {
        for service in Service::ALL {
            for _ in 0..service.replicas() {
                let port = match service {
                    Service::Gateway => Some(ReservedPort::new()?),
                    _ => None,
                };
                if let Some(port) = &port {
                    let url = format!("http://{}", port.address());
                    self.visitors.push(Visitor::new(url.parse()?)?);
                }
                let mut replicas = self.locked_replicas();
                replicas.push(Replica {
                    service: Some(service),
                    port,
                    process: None,
                });
                let place = replicas.len() - 1;
                drop(replicas);
                self.start(place)?;
            }
        }
        self.ready().await
    }

    /// A visitor at each of its gateways, one at least.
    #[must_use]
    pub fn visitors(&self) -> &[Visitor] {
        &self.visitors
    }

    /// A visitor.
    ///
    /// # Panics
    /// Never: a bank that was started has a gateway.
    #[must_use]
    pub fn visitor(&self) -> &Visitor {
        self.visitors
            .first()
            .unwrap_or_else(|| unreachable!("a bank has a gateway"))
    }

    /// What it has on shared servers; nothing if it uses none.
    #[must_use]
    pub fn site(&self) -> Option<&Site> {
        self.site.as_ref()
    }

    /// Where the keys are by which its services know each other, if they are in files.
    #[must_use]
    pub fn keys(&self) -> Option<PathBuf> {
        self.site.as_ref()?;
        Some(self.locked_workplace().path("keys"))
    }

    /// The service of each replica, by its place; nothing in a bank of one process.
    #[must_use]
    pub fn replicas(&self) -> Vec<Service> {
        let replicas = self.locked_replicas();
        replicas
            .iter()
            .filter_map(|replica| replica.service)
            .collect()
    }

    /// Kills the replica at a place without warning (SIGKILL).
    pub fn kill(&self, place: usize) {
        if let Some(replica) = self.locked_replicas().get_mut(place) {
            replica.process = None;
        }
    }

    /// Starts the replica at a place, with the same settings as before. One that runs is killed.
    ///
    /// # Errors
    /// There is no such place, or no process to be had.
    pub fn start(&self, place: usize) -> Result<()> {
        let mut replicas = self.locked_replicas();
        let replica = replicas.get_mut(place).context("no such replica")?;
        replica.process = None;
        let mut command = Command::new(&self.program.path);
        command.args(&self.program.arguments).arg("serve");
        for setting in SETTINGS {
            command.env_remove(setting);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(service) = replica.service {
            command.arg(service.name());
        }
        if let Some(port) = &replica.port {
            command.env("HTTP_ADDR", port.address().to_string());
        }
        replica.process = Some(self.locked_workplace().spawn(&mut command)?);
        Ok(())
    }

    /// Kills all replicas of a service.
    pub fn kill_all(&self, service: Service) {
        for place in self.places(service) {
            self.kill(place);
        }
    }

    /// Starts all replicas of a service.
    ///
    /// # Errors
    /// There is no process to be had.
    pub fn start_all(&self, service: Service) -> Result<()> {
        let mut places = self.places(service).into_iter();
        places.try_for_each(|place| self.start(place))
    }

    fn places(&self, service: Service) -> Vec<usize> {
        let services = self.replicas().into_iter().enumerate();
        services
            .filter_map(|(place, of)| (of == service).then_some(place))
            .collect()
    }

    /// Waits until every service says at every gateway that it is up.
    ///
    /// # Errors
    /// A process ended that was not killed, or they are not ready in 3 minutes.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ready(&self) -> Result<()> {
        let end = Instant::now() + READY_WITHIN;
        for visitor in &self.visitors {
            for service in Service::ALL {
                while !is_up(visitor, service).await {
                    self.wait_a_little(end)
                        .await
                        .with_context(|| format!("{} is not up", service.name()))?;
                }
            }
        }
        Ok(())
    }

    async fn wait_a_little(&self, end: Instant) -> Result<()> {
        let all_run = self
            .locked_replicas()
            .iter_mut()
            .filter_map(|replica| replica.process.as_mut())
            .all(Process::is_running);
        ensure!(all_run, "a process ended:\n{}", self.log_tail());
        let in_time = Instant::now() < end;
        ensure!(in_time, "not within {READY_WITHIN:?}:\n{}", self.log_tail());
        sleep(LOOK_EVERY).await;
        Ok(())
    }

    /// The end of what its processes wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.locked_workplace().log_tail()
    }

    /// Lets a test have it, and closes it whatever comes of that. What the processes wrote at the
    /// end is part of a failure.
    ///
    /// # Panics
    /// As the test does.
    ///
    /// # Errors
    /// What it had on shared servers can't be removed.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it is as a bank that is dropped.
    #[allow(clippy::print_stderr, reason = "only tests use it, and they fail so")]
    pub async fn lent_to(self, test: impl AsyncFnOnce(&Self)) -> Result<()> {
        let done = AssertUnwindSafe(test(&self)).catch_unwind().await;
        if done.is_err() {
            eprintln!("the end of the bank's log:\n{}", self.log_tail());
        }
        let closed = self.close().await;
        if let Err(panic) = done {
            resume_unwind(panic);
        }
        closed
    }

    /// Kills its processes and removes what it had on shared servers.
    ///
    /// # Errors
    /// A server can't be reached or refuses.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, something may be left on the servers.
    pub async fn close(self) -> Result<()> {
        self.locked_replicas().clear();
        match self.site {
            Some(site) => site.remove().await,
            None => Ok(()),
        }
    }

    fn locked_replicas(&self) -> MutexGuard<'_, Vec<Replica>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locked_workplace(&self) -> MutexGuard<'_, Workplace> {
        self.workplace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a service can be asked through a gateway, and says that it is up.
async fn is_up(visitor: &Visitor, service: Service) -> bool {
    let answer = visitor.get(service.health()).send().await;
    answer.is_ok_and(|answer| answer.status == 200)
}
