//! The jobs that are running.

use crate::{
    bus::with_bus,
    control::{refused, somebody},
    failure::Failure,
    output::{Output, Table, ago, clock, parse_duration},
    settings::ServerArgs,
};
use clap::{Args, Subcommand};
use replybus::{Bus, CallId, control::InstanceJobs};
use serde_json::{Value, json};
use std::time::Duration;

/// List the jobs that are running, and cancel them
///
/// Commands that take long, as those who run them tell: how far they are, if their handlers say so.
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List what runs, the oldest of each instance first
    List {
        /// The queue
        queue: String,

        /// How long to wait for instances that do not answer
        #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
        within: Duration,
    },
    /// Tell who runs a job that it is cancelled; its handler ends it
    Cancel {
        /// The queue
        queue: String,
        /// The id of the job's call
        id: CallId,
    },
}

pub(crate) async fn run(
    servers: &ServerArgs,
    args: JobsArgs,
    output: &Output,
) -> Result<(), Failure> {
    with_bus(servers, async |bus| match args.what {
        What::List { queue, within } => list(bus, &queue, within, output).await,
        What::Cancel { queue, id } => cancel(bus, &queue, id, output).await,
    })
    .await
}

async fn list(bus: &Bus, queue: &str, within: Duration, output: &Output) -> Result<(), Failure> {
    let told = bus.control(queue).within(within).jobs().await;
    let told = told.map_err(refused(queue))?;
    if output.json {
        let told: Vec<Value> = told.iter().flat_map(as_json).collect();
        return output.json(&told);
    }
    somebody(queue, told.len())?;
    if told.iter().all(|of| of.jobs.is_empty()) {
        return output.line(&format!("no job runs for {queue}"));
    }
    let mut table = Table::new(&["ID", "METHOD", "BEGAN", "RUN", "PROGRESS", "INSTANCE"]);
    for of in &told {
        for job in &of.jobs {
            let progress = job.progress.as_ref().map(ToString::to_string);
            let progress = progress.unwrap_or_else(|| "-".to_owned());
            let began = ago(job.since);
            table.row([
                &job.id,
                &job.method,
                &began,
                &job.attempt,
                &progress,
                &of.instance,
            ]);
        }
    }
    table.print(output)?;
    match told.iter().map(|of| of.more).sum::<u64>() {
        0 => Ok(()),
        more => output.line(&format!("and {more} more")),
    }
}

async fn cancel(bus: &Bus, queue: &str, id: CallId, output: &Output) -> Result<(), Failure> {
    let told = bus.control(queue).jobs().await.map_err(refused(queue))?;
    somebody(queue, told.len())?;
    if !told.iter().any(|of| of.may_run(id)) {
        let text = "no job with this id runs; it may be done, or wait for somebody who runs it";
        return Err(Failure::Said(format!("{queue}: {id}: {text}")));
    }
    let cancelled = bus.control(queue).cancel(id).await;
    cancelled.map_err(refused(queue))?;
    output.json(&json!({ "cancelled": "told" }))
}

fn as_json(of: &InstanceJobs) -> impl Iterator<Item = Value> {
    of.jobs.iter().map(|job| {
        json!({
            "id": job.id,
            "method": job.method,
            "since": clock(job.since),
            "run": job.attempt,
            "progress": job.progress,
            "instance": of.instance,
        })
    })
}
