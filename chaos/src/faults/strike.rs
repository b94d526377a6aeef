//! Does what the plan says, and undoes it.

use super::plan::{Fault, LinkFault, ProgramFault, RequestQueue, ServerFault, Struck};
use crate::site::{Server, Site};
use anyhow::{Context as _, Result};
use replybus_testkit::proxy::Mode;
use std::time::Duration;
use tokio::time::sleep;

/// Lets one fault strike, for as long as it lasts. What it was done to is well again afterwards, or
/// on its way.
///
/// # Errors
/// A server or a program does not come back.
///
/// # Cancel safety
/// Dropped before it is ready, something may be away; [`Site::heal`] brings it back.
pub(crate) async fn strike(site: &Site, struck: Struck) -> Result<()> {
    let lasts = struck.lasts;
    match struck.fault {
        Fault::Server(server, fault) => on_server(site, server, fault, lasts).await,
        Fault::MemoryAlarm => {
            let rabbit = site.servers.rabbit.lock().await;
            rabbit.block_publishers().await?;
            sleep(lasts).await;
            Ok(rabbit.unblock_publishers().await?)
        }
        Fault::Emptied => site.servers.empty_redis().await,
        Fault::Forgetful => site.servers.forget_redis(lasts).await,
        Fault::QueueDeleted(queue) => on_queue(site, "delete_queue", queue).await,
        Fault::QueuePurged(queue) => on_queue(site, "purge_queue", queue).await,
        Fault::Program(number, fault) => on_program(site, number, fault, lasts).await,
        Fault::Link(number, server, fault) => {
            site.links.set(Some(number), server, mode_of(fault));
            if fault != LinkFault::Cut {
                sleep(lasts).await;
            }
            // Who waits for what was lost learns that it is.
            if matches!(fault, LinkFault::Lossy | LinkFault::Forgotten) {
                site.links.set(Some(number), server, Mode::Cut);
            }
            site.links.set(Some(number), server, Mode::Pass);
            Ok(())
        }
    }
}

fn mode_of(fault: LinkFault) -> Mode {
    match fault {
        LinkFault::Slow(by) => Mode::Latency(by),
        LinkFault::Lossy => Mode::Swallow,
        LinkFault::Forgotten => Mode::SwallowOld,
        LinkFault::Cut => Mode::Cut,
    }
}

async fn on_server(site: &Site, server: Server, fault: ServerFault, lasts: Duration) -> Result<()> {
    match fault {
        ServerFault::Killed => site.servers.kill_for(server, lasts).await,
        ServerFault::Restarted => site.servers.stop_for(server, lasts).await,
        ServerFault::Frozen => {
            site.servers.freeze_for(server, lasts).await;
            Ok(())
        }
        ServerFault::Cut => {
            site.links.set(None, server, Mode::Cut);
            site.links.set(None, server, Mode::Pass);
            Ok(())
        }
        ServerFault::Refused => {
            site.links.set(None, server, Mode::Refuse);
            sleep(lasts).await;
            site.links.set(None, server, Mode::Pass);
            Ok(())
        }
        ServerFault::Silent => {
            site.links.set(None, server, Mode::Swallow);
            sleep(lasts).await;
            // What was held back arrives now, late.
            site.links.set(None, server, Mode::Pass);
            Ok(())
        }
    }
}

async fn on_queue(site: &Site, command: &str, queue: RequestQueue) -> Result<()> {
    let rabbit = site.servers.rabbit.lock().await;
    // One that is not there yet, or just now, can't be harmed.
    let _ = rabbit.ctl(&[command, &queue.to_string()]).await;
    Ok(())
}

async fn on_program(
    site: &Site,
    number: usize,
    fault: ProgramFault,
    lasts: Duration,
) -> Result<()> {
    let program = site.programs.get(number).context("no such program")?;
    match fault {
        ProgramFault::Killed => {
            program.kill();
            sleep(lasts).await;
            program.start()
        }
        ProgramFault::Frozen => {
            program.freeze();
            sleep(lasts).await;
            program.thaw();
            Ok(())
        }
        ProgramFault::Stopped => {
            program.stop().await;
            sleep(lasts).await;
            program.start()
        }
    }
}
