//! The worker side of a path, in a process of its own that never outlives the benchmark.

use crate::path::{Path, Site};
use anyhow::{Context, Error, Result, bail};
use std::{
    env,
    io::{self, Read, Write},
    process::{self, Stdio},
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// What a worker writes to its output once it consumes.
const READY: u8 = b'+';
/// Declaring a queue and consuming it takes milliseconds; a worker that needs longer has failed.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Told by a worker that it consumes.
#[derive(Debug)]
pub struct Ready(());

impl Ready {
    /// Lets the benchmark begin.
    ///
    /// # Errors
    /// The benchmark is gone.
    pub fn tell(self) -> Result<()> {
        let mut out = io::stdout();
        out.write_all(&[READY])
            .and_then(|()| out.flush())
            .context("could not tell that the worker is ready")
    }
}

/// A running worker. Dropped, it is killed.
#[derive(Debug)]
pub struct Worker {
    child: Child,
}

impl Worker {
    /// Starts this program again as the worker of a path, and waits until it consumes.
    ///
    /// # Errors
    /// It can't be started, or ends or says nothing instead of becoming ready.
    pub async fn start(path: &'static str, run: &str) -> Result<Self> {
        let program = env::current_exe().context("could not find this program")?;
        let mut child = Command::new(program)
            .args(["--bench", "--role", "worker", "--path", path, "--run", run])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start the worker of {path}"))?;
        let output = child.stdout.take().context("the worker has no output")?;
        match timeout(READY_WITHIN, BufReader::new(output).read_u8()).await {
            Ok(Ok(READY)) => Ok(Self { child }),
            Ok(_) => bail!("the worker of {path} ended before it was ready"),
            Err(_) => bail!("the worker of {path} was not ready within {READY_WITHIN:?}"),
        }
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
    thread::spawn(|| {
        // The parent holds the other end and never writes: the end of input is the end of the
        // parent, even of one that was killed.
        let _ = io::stdin().read(&mut [0]);
        process::exit(0)
    });
    path.serve(site, Ready(())).await?;
    bail!("the worker of {} stopped serving", path.name())
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
