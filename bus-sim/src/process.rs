//! One process: a runtime that is stepped, killed and started again.

use crate::{
    node::Node,
    servers::paused_runtime,
    session::Session,
    surroundings::Here,
    wire::{Back, Link, Sent, Wire},
};
use futures_util::{FutureExt, future::BoxFuture};
use replybus::simulation;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    task::JoinHandle,
    time::{Instant, advance, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// An error of a process, of any kind.
pub type ProcessError = Box<dyn std::error::Error + Send + Sync>;

/// What a process runs, from the beginning of each of its lives.
pub(crate) type Main =
    Arc<dyn Fn(Node) -> BoxFuture<'static, Result<(), ProcessError>> + Send + Sync>;

/// A process of a simulation.
pub(crate) struct Process {
    pub(crate) name: Arc<str>,
    pub(crate) main: Main,
    /// The simulation goes on until it has ended by itself.
    pub(crate) is_caller: bool,
    pub(crate) clock_off_by: i64,
    /// Steps of all its lives.
    pub(crate) steps: u32,
    /// Its lives so far.
    pub(crate) lives: u32,
    pub(crate) life: Option<Life>,
    /// It has ended by itself.
    pub(crate) is_done: bool,
}

/// A process that lives.
pub(crate) struct Life {
    runtime: Runtime,
    /// The beginning of its clock, and when that was.
    start: Instant,
    born: Duration,
    /// How far it was stepped.
    now: Duration,
    /// There until it has ended.
    main: Option<JoinHandle<Result<(), ProcessError>>>,
    here: Arc<Here>,
    pub(crate) wire: Wire,
    pub(crate) session: Arc<Session>,
    pub(crate) stop: CancellationToken,
    /// Its connection to the broker, as it really is.
    pub(crate) link: Link,
    pub(crate) paused_until: Option<Duration>,
    /// What has arrived while it stood still.
    held: VecDeque<Back>,
}

impl Life {
    pub(crate) fn begin(
        process: &Process,
        session: Arc<Session>,
        seed: u64,
        born: Duration,
        link: Link,
    ) -> io::Result<Self> {
        let runtime = paused_runtime()?;
        let start = runtime.block_on(async { Instant::now() });
        let here = Here::new(seed, start, born, process.clock_off_by);
        let wire = Wire::new(link);
        let stop = CancellationToken::new();
        let node = Node {
            name: Arc::clone(&process.name),
            life: session.life,
            wire: wire.clone(),
            here: Arc::clone(&here),
            stop: stop.clone(),
            connections: Arc::new(AtomicU64::new(0)),
        };
        let main = simulation::within(&here.as_surroundings(), || {
            let _inside = runtime.enter();
            runtime.spawn((process.main)(node))
        });
        Ok(Self {
            runtime,
            start,
            born,
            now: born,
            main: Some(main),
            here,
            wire,
            session,
            stop,
            link,
            paused_until: None,
            held: VecDeque::new(),
        })
    }

    fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        simulation::within(&self.here.as_surroundings(), work)
    }

    /// Lets time go by, and returns what it has sent. One that stood still finds its clocks ahead.
    pub(crate) fn run(&mut self, until: Duration) -> Vec<Sent> {
        if self.paused_until.is_some_and(|end| end > until) {
            return Vec::new();
        }
        let (start, end) = (self.start, self.start + (until - self.born));
        let stood_still = self.paused_until.take().map(|end| end - self.born);
        self.within(|| {
            self.runtime.block_on(async {
                if let Some(stood_still) = stood_still {
                    let now = Instant::now();
                    advance((start + stood_still).saturating_duration_since(now)).await;
                }
            });
        });
        for back in std::mem::take(&mut self.held) {
            self.receive(back);
        }
        self.within(|| self.runtime.block_on(async { sleep_until(end).await }));
        self.now = until;
        let mut sent = self.wire.take();
        let departures: Vec<_> = sent
            .iter_mut()
            .filter_map(|sent| sent.departure.take())
            .collect();
        self.within(|| {
            let _inside = self.runtime.enter();
            drop(departures);
        });
        sent
    }

    /// Lets something reach it.
    pub(crate) fn receive(&mut self, back: Back) {
        if self.paused_until.is_some() {
            self.held.push_back(back);
            return;
        }
        self.within(|| {
            let _inside = self.runtime.enter();
            back();
        });
    }

    /// Sets what it knows of its connection, in order behind what it has received.
    pub(crate) fn tell_link(&mut self, link: Link) {
        let wire = self.wire.clone();
        self.receive(Box::new(move || wire.set_link(link)));
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<Result<(), String>> {
        let main = self.main.take_if(|main| main.is_finished())?;
        let joined = main.now_or_never()?;
        Some(match joined {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(panic_text(error)),
        })
    }

    /// Tasks that are left.
    pub(crate) fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }

    /// Ends it, with all its tasks: what they do on their end reaches nobody.
    pub(crate) fn kill(self) -> Arc<Session> {
        self.wire.kill();
        let Self {
            runtime,
            here,
            session,
            held,
            ..
        } = self;
        simulation::within(&here.as_surroundings(), || {
            drop(held);
            drop(runtime);
        });
        session
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "it was cancelled".to_owned();
    };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_default())
}
