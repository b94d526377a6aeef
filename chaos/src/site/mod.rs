//! What the load is on and the faults are done to: private servers, the programs of bank and shop,
//! and the connections between both.

mod links;
mod programs;
mod servers;
mod systems;

pub(crate) use links::Links;
pub(crate) use programs::Program;
pub(crate) use servers::{Server, Servers};
pub(crate) use systems::{SystemName, Systems};

use anyhow::{Context as _, Result};
use bank_client::Client;
use futures_util::future::join_all;
use replybus_testkit::{proxy::Mode, servers::Workplace};
use std::{fs, path::Path, time::Duration};
use tokio::time::{Instant, sleep};

/// Everything is well within this, after everything failed.
const WELL_WITHIN: Duration = Duration::from_secs(180);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// All of it. Dropped, it is gone: processes, ports and folders.
pub(crate) struct Site {
    // Dropped in this order: who uses, what is used.
    pub(crate) programs: Vec<Program>,
    pub(crate) links: Links,
    pub(crate) servers: Servers,
    /// The gateways and faces by which the load asks.
    pub(crate) systems: Systems,
    /// Holds the keys.
    _workplace: Workplace,
}

impl Site {
    /// Starts servers and programs, and waits until all are well.
    ///
    /// # Errors
    /// A server is not installed, or something does not start.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing is left.
    pub(crate) async fn start(binaries: &Path) -> Result<Self> {
        let workplace = Workplace::new("chaos")?;
        let (systems, plans) = Systems::lay_out(binaries, &workplace).await?;
        let servers = Servers::start().await?;
        let links = Links::between(plans.len(), &servers).await?;
        let mut programs = Vec::new();
        for (number, plan) in plans.into_iter().enumerate() {
            programs.push(Program::new(plan, links.addresses(number))?);
        }
        let site = Self {
            programs,
            links,
            servers,
            systems,
            _workplace: workplace,
        };
        for program in &site.programs {
            program.start()?;
        }
        site.well().await?;
        Ok(site)
    }

    /// The names of its programs, by their numbers.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self
            .programs
            .iter()
            .map(|program| program.name().to_owned());
        names.collect()
    }

    /// Starts programs again that ended by themselves, for as long as it is polled. Each is told of.
    pub(crate) async fn supervise(&self, tell: impl Fn(&str)) {
        loop {
            for program in &self.programs {
                if let Some(log) = program.ended_by_itself() {
                    let last = log.lines().last().unwrap_or_default();
                    tell(&format!("{}: ended by itself: {last}", program.name()));
                    if let Err(error) = program.start() {
                        tell(&format!("{}: does not start: {error:#}", program.name()));
                    }
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Brings everything back that a fault was done to, whatever it was.
    ///
    /// # Errors
    /// A server or program does not start, or something is not well within 3 minutes.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it can be called again.
    pub(crate) async fn heal(&self) -> Result<()> {
        self.servers.heal().await?;
        for server in Server::ALL {
            // Connections that hang are made anew.
            self.links.set(None, server, Mode::Cut);
            self.links.set(None, server, Mode::Pass);
        }
        for program in &self.programs {
            program.thaw();
            if !program.is_running() {
                program.start()?;
            }
        }
        self.well().await
    }

    /// Waits until every service says that it is well.
    async fn well(&self) -> Result<()> {
        let end = Instant::now() + WELL_WITHIN;
        let looks = self.systems.health();
        loop {
            let well = join_all(looks.iter().map(|(client, path)| is_well(client, path))).await;
            let Some(ill) = well.iter().position(|well| !well) else {
                return Ok(());
            };
            if Instant::now() > end {
                let (client, path) = looks.get(ill).context("no such service")?;
                anyhow::bail!("{}{path} is not well within {WELL_WITHIN:?}", client.url());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Times that a program said that it panicked.
    pub(crate) fn panics(&self) -> usize {
        let logs = self.programs.iter().map(Program::log);
        logs.map(|log| log.matches("panicked at").count()).sum()
    }

    /// Copies what the programs wrote into a folder, each into a file of its own.
    ///
    /// # Errors
    /// A file can't be written.
    pub(crate) fn keep_logs(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        for program in &self.programs {
            let file = format!("{}.log", program.name().replace(' ', "-"));
            fs::write(folder.join(file), program.log())?;
        }
        Ok(())
    }
}

async fn is_well(client: &Client, path: &str) -> bool {
    let answer = client.get(path).send().await;
    answer.is_ok_and(|answer| answer.status == 200)
}
