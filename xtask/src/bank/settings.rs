//! The settings of the services: addresses of servers, keys, and addresses to listen on.

use super::{Addresses, say, service::Files};
use crate::{
    program, random,
    services::{self, Origin, Server},
};
use anyhow::ensure;
use std::{
    env,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Command,
};
use url::Url;

/// A variable of the environment, and what it is set to.
pub(super) type Setting = (&'static str, String);

/// The settings of all services. Keys and the administrator's secret are made if there are none.
///
/// # Errors
/// A server has gone, or the database, keys or secret can't be made.
pub(super) fn of_services(
    files: &Files,
    addresses: &Addresses,
    binaries: &Path,
) -> anyhow::Result<Vec<Setting>> {
    let mut settings = of_servers()?;
    settings.extend([
        ("ADMIN_SECRET", admin_secret(files)?),
        ("KEYS_DIR", keys(files, binaries)?),
        ("HTTP_ADDR", addresses.http.to_string()),
        ("WS_ADDR", addresses.ws.to_string()),
    ]);
    Ok(settings)
}

fn of_servers() -> anyhow::Result<Vec<Setting>> {
    let is_given = env::var("DATABASE_URL").is_ok_and(|url| !url.is_empty());
    let environment = services::environment(Origin::default(), &Server::NEEDED)?;
    let mut settings = Vec::new();
    for (variable, url) in environment {
        match variable {
            "AMQP_URL" => settings.push(("RABBITMQ_URL", url)),
            "DATABASE_URL" if !is_given => settings.push((variable, own_database(&url)?)),
            _ => settings.push((variable, url)),
        }
    }
    ensure!(settings.len() == Server::NEEDED.len(), "a server has gone");
    Ok(settings)
}

/// The database `bank`, made beside the one that was found.
fn own_database(beside: &str) -> anyhow::Result<String> {
    let mut url = Url::parse(beside)?;
    url.set_path("/bank");
    if !program::is_installed("psql") {
        say("psql is missing, so the tables go into the database that is there");
        return Ok(beside.to_owned());
    }
    let psql = |url: &str, statement: &str| {
        let mut psql = Command::new("psql");
        program::succeeds(psql.args(["-X", "-w", "-q", "-d", url, "-c", statement]))
    };
    let is_there = psql(url.as_str(), "select 1") || psql(beside, "create database bank");
    ensure!(is_there, "can't make the database bank");
    Ok(url.into())
}

fn keys(files: &Files, binaries: &Path) -> anyhow::Result<String> {
    let keys = files.0.join("keys");
    // What is written last says that all are there. To keys of an older version those are added
    // that it had not.
    let public = fs::read_to_string(keys.join("pass-verifying.pem"));
    let is_whole = public
        .is_ok_and(|public| public.lines().any(|line| line == "notification-service"))
        && keys.join("password-sealing.pem").exists();
    if !is_whole {
        let mut write = Command::new(binaries.join("bank"));
        let written = write.arg("keys").arg(&keys).status()?;
        ensure!(
            written.success(),
            "can't write keys; if {} is half written or older, delete it",
            keys.display()
        );
    }
    keys.into_os_string()
        .into_string()
        .map_err(|_| anyhow::anyhow!("the path of the keys is no text"))
}

fn admin_secret(files: &Files) -> anyhow::Result<String> {
    let path = files.0.join("admin-secret");
    let given = env::var("ADMIN_SECRET").ok();
    let given = given.filter(|secret| !secret.is_empty());
    let written = fs::read_to_string(&path).ok();
    let written = written.filter(|secret| given.is_none() && !secret.trim().is_empty());
    if let Some(secret) = written {
        return Ok(secret.trim().to_owned());
    }
    let secret = given.map_or_else(random::hex, Ok)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{secret}")?;
    Ok(secret)
}
