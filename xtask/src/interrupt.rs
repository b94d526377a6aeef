//! Being told to end: by Ctrl-C, or by a signal.

use anyhow::bail;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};
use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicBool, Ordering},
};

static TOLD: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Notes from now on that the command is told to end, rather than end at once and leave behind
/// what it started.
///
/// # Errors
/// The system does not let it.
pub(crate) fn listen() -> anyhow::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&TOLD))?;
    }
    Ok(())
}

/// # Errors
/// The command was told to end.
pub(crate) fn check() -> anyhow::Result<()> {
    if TOLD.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}
