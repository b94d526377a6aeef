//! The addresses of a service's own database, as sqlx reads them.

use super::IN_MEMORY;
use crate::settings::TlsSettings;
use anyhow::Context as _;
use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};
use url::Url;
use uuid::Uuid;

/// A lock is waited for so long, and a transaction may be idle so long.
const LOCK_TIMEOUT: &str = "3s";
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "10s";

/// The file of a service, or its database in memory. A file is its owner's alone, whoever made it;
/// SQLite gives what it writes beside it the same permissions.
pub(super) fn sqlite(url: &str, schema: &str) -> anyhow::Result<String> {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path == ":memory:" {
        // By its name all connections find the same one.
        let name = Uuid::new_v4().simple();
        return Ok(format!("sqlite:file:{schema}-{name}{IN_MEMORY}"));
    }
    let directory = PathBuf::from(path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .with_context(|| format!("can't make {}", directory.display()))?;
    let file = directory.join(format!("{schema}.db"));
    keep_private(&file).with_context(|| format!("can't make {}", file.display()))?;
    // sqlx reads the path as a part of an address.
    let file = file.display().to_string();
    let file = file
        .replace('%', "%25")
        .replace('?', "%3F")
        .replace('#', "%23");
    Ok(format!("sqlite://{file}?mode=rwc"))
}

/// Adds the files by which a connection is encrypted. With them the server's certificate is checked
/// in full, its name included, unless the address says that the name is of no matter.
fn encrypt(url: &mut Url, tls: &TlsSettings) -> anyhow::Result<()> {
    if !tls.is_set() {
        return Ok(());
    }
    let mode = url.query_pairs().find_map(|(name, value)| {
        matches!(&*name, "sslmode" | "ssl-mode").then(|| value.to_lowercase())
    });
    match mode.as_deref() {
        None => {
            url.query_pairs_mut().append_pair("sslmode", "verify-full");
        }
        Some("verify-full" | "verify-ca") => {}
        Some(mode) => anyhow::bail!(
            "there are certificates for PostgreSQL, and with sslmode={mode} its own would not be \
             checked: leave it out, which is verify-full, or write verify-ca"
        ),
    }
    let files = [
        ("sslrootcert", tls.authority.as_ref()),
        (
            "sslcert",
            tls.identity.as_ref().map(|(certificate, _)| certificate),
        ),
        ("sslkey", tls.identity.as_ref().map(|(_, key)| key)),
    ];
    for (option, file) in files {
        if let Some(file) = file {
            url.query_pairs_mut().append_pair(option, &file.path());
        }
    }
    Ok(())
}

/// Makes a file that only its owner may read, or takes the right to from all others. An older
/// version left it to everybody's.
fn keep_private(file: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)?;
    for end in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        let Ok(found) = fs::metadata(&name) else {
            continue;
        };
        if found.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&name, Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// The schema of a service.
pub(super) fn postgres(
    url: &str,
    tls: &TlsSettings,
    schema: &str,
    statement_timeout: &str,
) -> anyhow::Result<String> {
    // The reason names no part of the address: it may hold a password.
    let mut url = Url::parse(url).context("the address of the database can't be read")?;
    encrypt(&mut url, tls)?;
    let options = [
        ("search_path", schema),
        ("statement_timeout", statement_timeout),
        ("lock_timeout", LOCK_TIMEOUT),
        (
            "idle_in_transaction_session_timeout",
            IDLE_IN_TRANSACTION_TIMEOUT,
        ),
    ];
    for (option, value) in options {
        url.query_pairs_mut()
            .append_pair(&format!("options[{option}]"), value);
    }
    Ok(url.into())
}
