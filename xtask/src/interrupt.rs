//! Being told to end: by Ctrl-C, or by a signal.

use anyhow::bail;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};
use std::{
    fs,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

static TOLD: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Notes from now on that the command is told to end, rather than end at once and leave behind
/// what it started.
///
/// # Errors
/// The system does not let it.
pub(crate) fn listen() -> anyhow::Result<()> {
    let ignored = ignored();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // By nohup, or by a shell that runs it in the background.
        if ignored & (1 << (signal - 1)) != 0 {
            continue;
        }
        flag::register(signal, Arc::clone(&TOLD))?;
    }
    Ok(())
}

/// The signals that whoever started this process had it ignore, a bit for each; none where the
/// system does not tell.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

/// # Errors
/// The command was told to end.
pub(crate) fn check() -> anyhow::Result<()> {
    if TOLD.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}
