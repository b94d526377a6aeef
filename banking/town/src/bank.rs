//! A bank as processes.

use crate::{
    Client, Program, Service,
    processes::Processes,
    site::{Servers, Site},
};
use anyhow::{Context as _, Result, bail, ensure};
use chassis::keys::Keys;
use futures_util::FutureExt as _;
use replybus_testkit::servers::ReservedPort;
use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The administrator's secret of every bank here.
pub const ADMIN_SECRET: &str = "open-the-vault-now";

/// A debug build on a machine that does much else has started, and made its tables, within this.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Connections to PostgreSQL of one process: 7 of them have databases, and a server gives 100 to
/// all that goes on at once.
const DATABASE_CONNECTIONS: &str = "5";

/// A bank that runs. To be [closed](Self::close); what a bank that is dropped has on shared servers
/// is left there, its processes are not.
#[allow(
    missing_debug_implementations,
    reason = "it knows addresses that hold passwords"
)]
pub struct Bank {
    processes: Processes,
    clients: Vec<Client>,
    site: Option<Site>,
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
        Self::alone(program, Vec::new()).await
    }

    /// A bank in one process, with its data in this database.
    ///
    /// # Errors
    /// It does not start.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the process is killed.
    pub async fn embedded_on(program: Program, database: &str) -> Result<Self> {
        Self::alone(program, vec![("DATABASE_URL", database.to_owned())]).await
    }

    /// A bank in one process, with its defaults but for these variables of its environment.
    ///
    /// # Errors
    /// It does not start.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the process is killed.
    pub async fn embedded_with(
        program: Program,
        environment: Vec<(&'static str, String)>,
    ) -> Result<Self> {
        Self::alone(program, environment).await
    }

    async fn alone(program: Program, mut environment: Vec<(&'static str, String)>) -> Result<Self> {
        environment.push(("HTTP_ADDR", "127.0.0.1:0".to_owned()));
        environment.push(("ADMIN_SECRET", ADMIN_SECRET.to_owned()));
        let mut bank = Self {
            processes: Processes::new(program, environment)?,
            clients: Vec::new(),
            site: None,
        };
        bank.processes.add(None, None)?;
        let end = Instant::now() + READY_WITHIN;
        let url = loop {
            let log = bank.processes.log()?;
            let line = log
                .lines()
                .find_map(|line| line.strip_prefix("listening on "));
            if let Some(url) = line {
                break url.parse().context("the bank listens on no address")?;
            }
            bank.wait_a_little(end).await?;
        };
        bank.clients.push(Client::new(url)?);
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
        let mut environment = site.environment();
        environment.push(("DATABASE_CONNECTIONS", DATABASE_CONNECTIONS.to_owned()));
        environment.push(("ADMIN_SECRET", ADMIN_SECRET.to_owned()));
        let mut bank = Self {
            processes: Processes::new(program, environment)?,
            clients: Vec::new(),
            site: Some(site),
        };
        let started = bank.start_live().await;
        match started {
            Ok(()) => Ok(bank),
            Err(error) => {
                // The reason that it did not start is the one to tell.
                let _ = bank.close().await;
                Err(error)
            }
        }
    }

    async fn start_live(&mut self) -> Result<()> {
        let keys = self.processes.path("keys");
        Keys::write_new(&keys)?;
        let Ok(keys) = keys.into_os_string().into_string() else {
            bail!("the directory of temporary files is no text");
        };
        self.processes.set("KEYS_DIR", keys);
        for service in Service::ALL {
            for _ in 0..service.replicas() {
                let port = match service {
                    Service::Gateway => Some(ReservedPort::new()?),
                    _ => None,
                };
                if let Some(port) = &port {
                    let url = format!("http://{}", port.address());
                    self.clients.push(Client::new(url.parse()?)?);
                }
                self.processes.add(Some(service), port)?;
            }
        }
        self.ready().await
    }

    /// A client of each of its gateways, one at least.
    #[must_use]
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// A client of its first gateway.
    ///
    /// # Panics
    /// Never: a bank that was started has a gateway.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.clients
            .first()
            .unwrap_or_else(|| unreachable!("a bank has a gateway"))
    }

    /// The namespace and database that it has on shared servers, if it uses any.
    #[must_use]
    pub fn site(&self) -> Option<&Site> {
        self.site.as_ref()
    }

    /// The directory of the keys by which its services know each other, if they are in files.
    #[must_use]
    pub fn keys(&self) -> Option<PathBuf> {
        self.site.as_ref()?;
        Some(self.processes.path("keys"))
    }

    /// The service of each replica, by its number; nothing in a bank of one process.
    #[must_use]
    pub fn replicas(&self) -> Vec<Service> {
        self.processes.services()
    }

    /// Kills a replica without warning (SIGKILL).
    pub fn kill(&self, number: usize) {
        self.processes.kill(number);
    }

    /// Starts a replica, with the same settings as before. One that runs is killed.
    ///
    /// # Errors
    /// There is no such replica, or no process to be had.
    pub fn start(&self, number: usize) -> Result<()> {
        self.processes.start(number)
    }

    /// Kills all replicas of a service.
    pub fn kill_all(&self, service: Service) {
        for number in self.replicas_of(service) {
            self.kill(number);
        }
    }

    /// Starts all replicas of a service.
    ///
    /// # Errors
    /// There is no process to be had.
    pub fn start_all(&self, service: Service) -> Result<()> {
        let mut numbers = self.replicas_of(service).into_iter();
        numbers.try_for_each(|number| self.start(number))
    }

    /// The numbers of the replicas of a service.
    #[must_use]
    pub fn replicas_of(&self, service: Service) -> Vec<usize> {
        let services = self.replicas().into_iter().enumerate();
        services
            .filter_map(|(number, of)| (of == service).then_some(number))
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
        for client in &self.clients {
            for service in Service::ALL {
                while !is_up(client, service).await {
                    self.wait_a_little(end)
                        .await
                        .with_context(|| format!("{} is not up", service.name()))?;
                }
            }
        }
        Ok(())
    }

    async fn wait_a_little(&self, end: Instant) -> Result<()> {
        self.processes.check()?;
        let in_time = Instant::now() < end;
        ensure!(in_time, "not within {READY_WITHIN:?}:\n{}", self.log_tail());
        sleep(LOOK_EVERY).await;
        Ok(())
    }

    /// The end of what its processes wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.processes.log_tail()
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
        self.processes.clear();
        match self.site {
            Some(site) => site.remove().await,
            None => Ok(()),
        }
    }
}

/// `true` if a service can be asked through a gateway, and says that it is up.
async fn is_up(client: &Client, service: Service) -> bool {
    let answer = client.get(service.health()).send().await;
    answer.is_ok_and(|answer| answer.status == 200)
}
