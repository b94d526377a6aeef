//! NATS, which only benchmarks need: found or started as the others are, by `cargo xtask services`.

use crate::path::Site;
use anyhow::{Context, Result, ensure};
use std::{
    env,
    ffi::OsString,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{self, Command, Stdio},
    time::Duration,
};

const PORT: u16 = 4222;
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// A server that was started for this process. Dropped, it is stopped, unless another wants it.
#[derive(Debug)]
pub struct Started(());

/// Finds NATS: the one in `NATS_URL`, or on the usual port, or one that the chores start from an
/// installed program, a Debian package or a container.
///
/// # Errors
/// There is none, and none can be started.
pub fn find_nats(site: &mut Site) -> Result<Option<Started>> {
    if site.nats_url.is_some() {
        return Ok(None);
    }
    let usual = SocketAddr::from(([127, 0, 0, 1], PORT));
    if TcpStream::connect_timeout(&usual, ANSWERS_WITHIN).is_ok() {
        site.nats_url = Some(format!("nats://{usual}"));
        return Ok(None);
    }
    let up = chore("up")
        .args(["--for", &process::id().to_string(), "nats"])
        .status();
    ensure!(
        up.context("could not run cargo")?.success(),
        "there is no NATS, and none could be started"
    );
    let started = Started(());
    let said = chore("env").arg("nats").stdout(Stdio::piped()).output();
    let said = String::from_utf8(said.context("could not run cargo")?.stdout)?;
    let url = url_in(&said).context("the chores do not say where NATS is")?;
    site.nats_url = Some(url.to_owned());
    Ok(Some(started))
}

impl Drop for Started {
    fn drop(&mut self) {
        let holder = process::id().to_string();
        // What can't be stopped now goes with the next `scripts/services down`.
        let _ = chore("down").args(["--for", &holder, "nats"]).status();
    }
}

/// `cargo xtask services`. What it prints on its output, other than what was asked for, is not for
/// that of a benchmark.
fn chore(name: &str) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .args(["xtask", "services", name])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// The address in `export NATS_URL='..'`.
fn url_in(said: &str) -> Option<&str> {
    let said = said.trim().strip_prefix("export NATS_URL='")?;
    said.strip_suffix('\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_what_a_shell_would_read() {
        let said = "export NATS_URL='nats://127.0.0.1:4222'\n";
        assert_eq!(url_in(said), Some("nats://127.0.0.1:4222"));
        assert_eq!(url_in(""), None);
    }
}
