//! The worker side of a path, in a process of its own that never outlives the benchmark.

use crate::{
    handler::Handler,
    path::{Path, Site},
};
use anyhow::{Context, Error, Result, bail};
use clap::Args;
use std::{
    env,
    io::{self, Read, Write},
    net::SocketAddr,
    process::{self, Stdio},
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};
use uuid::Uuid;

/// What a worker writes to its output once it consumes, with its address behind it if it has one.
const READY: &str = "ready";
/// Declaring a queue and consuming it takes milliseconds; a worker that needs longer has failed.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// What a benchmark is started with that people do not give: by `cargo bench`, and as a worker.
#[derive(Debug, Args)]
pub struct StartArguments {
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// `worker` in the process that serves `path`
    #[arg(long, hide = true)]
    role: Option<String>,
    #[arg(long, hide = true)]
    path: Option<String>,
    #[arg(long, hide = true, default_value_t = Uuid::new_v4().simple().to_string())]
    run: String,
    #[arg(long, hide = true)]
    handler_us: Option<u64>,
}

impl StartArguments {
    /// The servers of the environment, and handlers that take no time.
    ///
    /// # Errors
    /// As of [`Site::of_environment`].
    pub fn site(&self) -> Result<Site> {
        Site::of_environment(self.run.clone(), Handler(Duration::ZERO))
    }

    /// The name of what this process is to serve, if it is a worker.
    ///
    /// # Errors
    /// It is one, and there is no name.
    pub fn served(&self) -> Result<Option<&str>> {
        let path = self.path.as_deref();
        match self.role {
            None => Ok(None),
            Some(_) => path.context("a worker needs a path").map(Some),
        }
    }
}

/// Told by a worker that it consumes.
#[derive(Debug)]
pub struct Ready(());

impl Ready {
    /// Lets the benchmark begin.
    ///
    /// # Errors
    /// The benchmark is gone.
    pub fn tell(self) -> Result<()> {
        say(READY)
    }

    /// Lets the benchmark begin, with calls to this address.
    ///
    /// # Errors
    /// The benchmark is gone.
    pub fn tell_at(self, address: SocketAddr) -> Result<()> {
        say(&format!("{READY} {address}"))
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("could not tell that the worker is ready")
}

/// The address in what a ready worker said; an error if it said something else.
fn address(line: &str) -> Result<Option<SocketAddr>> {
    let said = line.trim_end().strip_prefix(READY);
    let said = said.context("a worker ended before it was ready")?;
    let address = said.strip_prefix(' ').map(str::parse).transpose();
    address.context("a worker said no address")
}

/// A running worker. Dropped, it is killed.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    id: u32,
    address: Option<SocketAddr>,
}

impl Worker {
    /// Starts this program again as the worker of a path, and waits until it consumes.
    ///
    /// # Errors
    /// It can't be started, or ends or says nothing instead of becoming ready.
    pub async fn start(path: &'static str, site: &Site) -> Result<Self> {
        let program = env::current_exe().context("could not find this program")?;
        let handler_us = site.handler.0.as_micros().to_string();
        let mut child = Command::new(program)
            .args(["--bench", "--role", "worker", "--path", path])
            .args(["--run", &site.run, "--handler-us", &handler_us])
            .args(site.observed.iter().flat_map(|(collector, told)| {
                [
                    "--collector".to_owned(),
                    collector.clone(),
                    format!("--observed={told}"),
                ]
            }))
            .env("AMQP_URL", &site.amqp_url)
            .env("REDIS_URL", &site.redis_url)
            .envs(site.nats_url.as_ref().map(|url| ("NATS_URL", url)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start the worker of {path}"))?;
        let output = child.stdout.take().context("the worker has no output")?;
        let id = child.id().context("the worker has ended")?;
        let (mut output, mut line) = (BufReader::new(output), String::new());
        let said = timeout(READY_WITHIN, output.read_line(&mut line)).await;
        said.with_context(|| format!("{path} was not ready within {READY_WITHIN:?}"))??;
        let address = address(&line).context(path)?;
        Ok(Self { child, id, address })
    }

    /// The id of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Where it answers, if it does so itself and not through a broker.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Ends the worker and waits until it is gone.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("could not end a worker")
    }
}

/// Serves a path in this process, which [`Worker::start`] began, until its parent goes away.
///
/// # Errors
/// The path can't serve any longer.
pub async fn serve(path: &dyn Path, site: &Site) -> Result<()> {
    serve_as(path.name(), |ready| path.serve(site, ready)).await
}

/// The same, of what is no [`Path`].
///
/// # Errors
/// It can't serve any longer.
pub async fn serve_as<F: Future<Output = Result<()>>>(
    name: &str,
    serve: impl FnOnce(Ready) -> F,
) -> Result<()> {
    thread::spawn(|| {
        // The parent holds the other end and never writes: the end of input is the end of the
        // parent, even of one that was killed.
        let _ = io::stdin().read(&mut [0]);
        process::exit(0)
    });
    serve(Ready(())).await?;
    bail!("the worker of {name} stopped serving")
}

/// Ends this process, a worker that failed to answer a request, and says why: the benchmark would
/// else wait for a reply that never comes, and not know the reason.
#[expect(
    clippy::print_stderr,
    reason = "the worker shares the benchmark's standard error"
)]
pub fn fail(error: &Error) -> ! {
    eprintln!("error: the worker failed: {error:#}");
    process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_worker_may_say_where_it_is() {
        assert_eq!(address("ready\n").unwrap(), None);
        let said = address("ready 127.0.0.1:7\n").unwrap();
        assert_eq!(said, Some(SocketAddr::from(([127, 0, 0, 1], 7))));
        assert!(address("").is_err());
        assert!(address("ready nowhere\n").is_err());
    }
}
