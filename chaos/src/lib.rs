//! The bank and the shop under load while everything below them fails, and an audit afterwards.
//!
//! In reading order: a `site` is the servers, the programs, and the links between both; a `load` is
//! the customers, who write down what they asked for and what they were told; `faults` are drawn
//! from a seed and done to the site; an `audit` compares what bank and shop show at the end with
//! what their customers were told. A `soak` is a load without faults. [`run`] is all of it, and
//! `report` what is printed.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program speaks to who runs it"
)]

mod audit;
mod faults;
mod load;
mod report;
mod settings;
mod site;
mod soak;

pub use settings::Settings;

use anyhow::Result;
use audit::{Kind, Violation, look};
use load::Load;
use report::{Figures, Teller, print_answers};
use site::Site;
use std::{process::ExitCode, time::Duration};
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

/// What was under way when the customers had left is done within this: an event that failed is
/// told again after 5 s, 10 s, 20 s and so on.
const SETTLED_WITHIN: Duration = Duration::from_secs(180);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All of it, until it is done or told to end (SIGINT, SIGTERM). Nothing is left then: no process,
/// no folder. The exit code is 0 if nothing is wrong, 1 if something is, 130 if it was told to end.
///
/// # Cancel safety
/// Dropped before it is ready, nothing is left.
pub async fn run(settings: Settings) -> ExitCode {
    let told = async {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        Ok::<_, std::io::Error>(())
    };
    let figures = select! {
        figures = under_faults(&settings) => figures,
        told = told => {
            match told {
                Ok(()) => eprintln!("chaos: interrupted"),
                Err(error) => eprintln!("chaos: there are no signals: {error}"),
            }
            return ExitCode::from(130);
        }
    };
    match figures {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::from(u8::from(!figures.violations.is_empty()))
        }
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn under_faults(settings: &Settings) -> Result<Figures> {
    let seed = settings.seed.unwrap_or_else(rand::random);
    let teller = Teller::new();
    let again = format_args!(
        "--minutes {} --seed {seed}",
        settings.minutes.as_secs_f64() / 60.0
    );
    println!("to repeat the faults: {again}");
    let site = Site::start(&settings.programs()?).await?;
    teller.tell(format_args!("{} programs are up", site.programs.len()));
    let load = Load::open(&site.systems, seed, settings.rate).await?;
    let ended = trial(settings, seed, &teller, &site, &load).await;
    if let Some(folder) = &settings.logs {
        site.keep_logs(folder)?;
        teller.tell(format_args!("logs are in {}", folder.display()));
    }
    let (faults, violations) = ended?;
    print_answers(&load);
    Ok(Figures::of(&load, faults, violations))
}

/// The faults, and what is wrong afterwards.
async fn trial(
    settings: &Settings,
    seed: u64,
    teller: &Teller,
    site: &Site,
    load: &Load<'_>,
) -> Result<(usize, Vec<Violation>)> {
    let failing = async {
        if settings.soak {
            let grown = soak::watch(settings.minutes, teller, site).await;
            load.stop();
            return Ok((0, grown?, Ok(())));
        }
        let faults = faults::fail(settings.minutes, seed, teller, site).await;
        teller.tell("everything is brought back");
        let healed = site.heal().await;
        load.stop();
        Ok::<_, anyhow::Error>((faults?, Vec::new(), healed))
    };
    let supervised = site.supervise(|what| teller.tell(what));
    let (faults, mut violations, healed) = select! {
        (ended, ()) = async { tokio::join!(failing, load.run()) } => ended?,
        () = supervised => anyhow::bail!("nobody supervises the programs"),
    };
    if let Err(ill) = healed {
        let what = format!("{ill:#}");
        return Ok((
            faults,
            vec![Violation {
                kind: Kind::Ill,
                what,
            }],
        ));
    }
    teller.tell("the customers have left; fates that nobody knows are followed up");
    load.follow_up().await;
    violations.extend(settled(teller, site, load).await?);
    Ok((faults, violations))
}

/// Waits until all that was under way is done and nothing is wrong, or returns what is when it has
/// had time enough.
async fn settled(teller: &Teller, site: &Site, load: &Load<'_>) -> Result<Vec<Violation>> {
    let end = Instant::now() + SETTLED_WITHIN;
    loop {
        // What is still in a queue may be done yet, and would be wrong afterwards.
        let busy = site.servers.messages().await?;
        let busy: Vec<_> = busy
            .into_iter()
            .filter(|(queue, messages)| *messages > 0 && !queue.ends_with(".dead"))
            .collect();
        let mut violations = Vec::new();
        if !busy.is_empty() {
            let what = format!("there are messages in {busy:?}");
            violations.push(Violation {
                kind: Kind::Ill,
                what,
            });
        }
        match audited(site, load).await {
            Ok(found) => violations.extend(found),
            Err(error) => {
                let what = format!("can't be audited: {error:#}");
                violations.push(Violation {
                    kind: Kind::Ill,
                    what,
                });
            }
        }
        if violations.is_empty() || Instant::now() > end {
            for (queue, messages) in site.servers.messages().await? {
                if queue.ends_with(".dead") && messages > 0 {
                    teller.tell(format_args!("{queue}: {messages}"));
                }
            }
            teller.tell("the books are read");
            return Ok(violations);
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn audited(site: &Site, load: &Load<'_>) -> Result<Vec<Violation>> {
    let (bank, shop) = (look::at_the_bank(&load.bank), look::at_the_shop(&load.shop));
    let (bank, shop) = tokio::try_join!(bank, shop)?;
    let mut violations = audit::bank::audit(&load.bank.book(), &bank);
    violations.extend(audit::shop::audit(&load.shop.book(), &shop));
    let panics = site.panics();
    if panics > 0 {
        let what = format!("{panics} panics in the logs");
        violations.push(Violation {
            kind: Kind::Ill,
            what,
        });
    }
    Ok(violations)
}
