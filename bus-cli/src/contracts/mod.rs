//! Contracts as files: what changed between two, and what they are for programs in other languages.

mod clients;
mod running;

use crate::{
    failure::Failure,
    output::{Color, Output},
    settings::ServerArgs,
};
use clap::{Args, Subcommand};
use clients::Language;
use replybus::schema::{Change, Contracts, Impact};
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Compare and export contracts
///
/// A document of contracts is what `replybus::schema::Contracts` writes, such as a `contracts.lock`
/// in a repository. In place of a file, queue:QUEUE is what the instances of a queue say that they
/// serve, and queue:QUEUE@INSTANCE what one of them says.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  git show main:contracts.lock | replybus contracts check --lock - contracts.lock\n  replybus contracts diff old.json contracts.lock\n  replybus contracts export contracts.lock > asyncapi.json\n  replybus contracts client contracts.lock --language python > bank.py\n  replybus contracts check --lock queue:account.requests contracts.lock"
)]
pub(crate) struct ContractsArgs {
    #[command(subcommand)]
    command: ContractsCommand,
}

#[derive(Debug, Subcommand)]
enum ContractsCommand {
    /// Write the contract that the instances of a queue serve
    ///
    /// They have it if their programs are built with the feature `schema`.
    Fetch {
        /// The queue, or QUEUE@INSTANCE
        queue: String,
    },
    /// Write contracts as an AsyncAPI 3 document
    Export {
        /// The document of contracts; - for stdin, queue:QUEUE for what is served
        contracts: PathBuf,
        /// The title of what is described
        #[arg(long, default_value = "Services on replybus")]
        title: String,
        /// Its version
        #[arg(long = "as-version", value_name = "VERSION", default_value = "1.0.0")]
        version: String,
    },
    /// Write a module with typed clients
    ///
    /// It has a class for each service, and is for calls.
    Client {
        /// The document of contracts; - for stdin, queue:QUEUE for what is served
        contracts: PathBuf,
        /// The language of the module
        #[arg(long, value_enum)]
        language: Language,
    },
    /// Show what is different between two documents of contracts
    Diff {
        /// What was agreed before; likewise - or queue:QUEUE
        old: PathBuf,
        /// What is agreed now; likewise
        new: PathBuf,
    },
    /// Fail if contracts break those that callers have
    ///
    /// The exit code is 1 if anything breaks, and 0 if nothing does, whatever else has changed.
    Check {
        /// What callers have; - for stdin, queue:QUEUE for what is served
        #[arg(long, value_name = "FILE")]
        lock: PathBuf,
        /// What they are to have; likewise
        contracts: PathBuf,
    },
}

pub(crate) async fn run(
    servers: &ServerArgs,
    args: &ContractsArgs,
    output: &Output,
) -> Result<(), Failure> {
    match &args.command {
        ContractsCommand::Fetch { queue } => {
            let document = running::fetch(servers, queue).await?.to_json();
            output.line(document.trim_end())
        }
        ContractsCommand::Export {
            contracts,
            title,
            version,
        } => {
            let document = read(servers, contracts).await?.to_asyncapi(title, version);
            output.line(document.trim_end())
        }
        ContractsCommand::Client {
            contracts,
            language,
        } => {
            let exported = read(servers, contracts).await?.to_asyncapi("", "");
            let exported: Value = serde_json::from_str(&exported)
                .map_err(|error| Failure::because("the export", error))?;
            output.line(clients::client(&exported, *language).trim_end())
        }
        ContractsCommand::Diff { old, new } => {
            let changes = changes(servers, old, new).await?;
            if changes.is_empty() && !output.json {
                return output.line("nothing is different");
            }
            print(&changes, output)
        }
        ContractsCommand::Check { lock, contracts } => {
            let changes = changes(servers, lock, contracts).await?;
            print(&changes, output)?;
            let broken = changes
                .iter()
                .filter(|change| change.impact == Impact::Breaking);
            match broken.count() {
                0 if output.json => Ok(()),
                0 => output.line("nothing breaks"),
                _ => Err(Failure::Found),
            }
        }
    }
}

async fn changes(servers: &ServerArgs, old: &Path, new: &Path) -> Result<Vec<Change>, Failure> {
    if old == Path::new("-") && new == old {
        let text = "one of the two documents can be stdin, not both";
        return Err(Failure::Usage(text.to_owned()));
    }
    let (old, new) = (read(servers, old).await?, read(servers, new).await?);
    Ok(new.changes_since(&old))
}

async fn read(servers: &ServerArgs, path: &Path) -> Result<Contracts, Failure> {
    if let Some(queue) = path.to_str().and_then(|path| path.strip_prefix("queue:")) {
        return running::fetch(servers, queue).await;
    }
    let is_stdin = path == Path::new("-");
    let name = match is_stdin {
        true => "stdin".to_owned(),
        false => path.display().to_string(),
    };
    let mut text = String::new();
    let read = match is_stdin {
        true => io::stdin().lock().read_to_string(&mut text).map(|_| ()),
        false => fs::read_to_string(path).map(|read| text = read),
    };
    read.map_err(|error| Failure::because(&name, error))?;
    Contracts::from_json(&text).map_err(|error| Failure::because(&name, error))
}

fn print(changes: &[Change], output: &Output) -> Result<(), Failure> {
    if output.json {
        let all: Vec<Value> = changes.iter().map(as_json).collect();
        return output.json(&all);
    }
    for change in changes {
        let Change {
            subject,
            path,
            reason,
            ..
        } = change;
        let color = match change.impact {
            Impact::Breaking => Color::Red,
            Impact::ServiceFirst => Color::Yellow,
            _ => Color::Green,
        };
        let impact = output.paint(color, change.impact.as_str());
        let place = if path.is_empty() {
            String::new()
        } else {
            format!("{path} ")
        };
        let text = crate::output::shown(&format!("{subject} {place}{reason}"));
        output.line(&format!("{impact}: {text}"))?;
    }
    Ok(())
}

fn as_json(change: &Change) -> Value {
    json!({
        "impact": change.impact.as_str(),
        "subject": change.subject,
        "path": change.path,
        "reason": change.reason,
    })
}
