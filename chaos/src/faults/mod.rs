//! What goes wrong: [`plan`] says what and when, [`strike`] does it, and [`fail`] has it done for as
//! long as it is to be.

mod plan;
mod strike;

use crate::{report::Teller, site::Site};
use anyhow::Result;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use plan::{Plan, Struck, Subject};
use std::time::Duration;
use strike::strike;
use tokio::{
    select,
    time::{Instant, sleep_until},
};

/// Faults that last at a time: with more of them nothing would be asked that could be answered.
const AT_ONCE_MAX: usize = 3;

/// Lets faults strike for so long, and those that last then end; returns how many there were.
///
/// # Errors
/// A server or a program does not come back.
///
/// # Cancel safety
/// Dropped before it is ready, something may be away; [`Site::heal`] brings it back.
pub(crate) async fn fail(
    within: Duration,
    seed: u64,
    teller: &Teller,
    site: &Site,
) -> Result<usize> {
    let (names, end) = (site.names(), Instant::now() + within);
    let mut striking = FuturesUnordered::new();
    let mut busy: Vec<Subject> = Vec::new();
    let mut faults = 0;
    let begin = async |struck: Struck| (struck.fault.subject(), strike(site, struck).await);
    for step in Plan::of(seed, site.programs.len()) {
        let due = Instant::now() + step.peace;
        for struck in step.faults {
            let subject = struck.fault.subject();
            loop {
                let is_free = busy.len() < AT_ONCE_MAX && !busy.contains(&subject);
                let now = Instant::now();
                if now >= end {
                    while let Some((_, struck)) = striking.next().await {
                        struck?;
                    }
                    return Ok(faults);
                }
                if is_free && now >= due {
                    break;
                }
                let wake = if is_free { due.min(end) } else { end };
                select! {
                    Some((ended, struck)) = striking.next() => {
                        struck?;
                        busy.retain(|other| *other != ended);
                    }
                    () = sleep_until(wake) => {}
                }
            }
            teller.tell(struck.told(&names));
            faults += 1;
            busy.push(subject);
            striking.push(begin(struck));
        }
    }
    Ok(faults)
}
