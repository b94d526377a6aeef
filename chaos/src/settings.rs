//! The command line.

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use std::{env, path::PathBuf, time::Duration};

const MINUTES: std::ops::RangeInclusive<f64> = 0.1..=10_080.0;

/// Runs the bank and the shop on servers of its own, each service a program of its own, and asks
/// them at a constant rate while something fails every few seconds. At the end all that was said to
/// be done must be there, once, and nothing else. The exit code is 1 if it is not.
#[derive(Debug, Clone, Parser)]
#[command(name = "chaos", version)]
pub struct Settings {
    /// Minutes for which things fail, or of the soak
    #[arg(long, value_name = "N", default_value = "2", value_parser = minutes)]
    pub(crate) minutes: Duration,

    /// Repeats the choice of faults; drawn and printed if it is not given
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Nothing fails: a soak, in which memory, descriptors, keys and queues must not grow
    #[arg(long)]
    pub(crate) soak: bool,

    /// Requests a second
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: u32,

    /// The folder of the programs `bank` and `shop`; without it, that of this program
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,

    /// Leave what the programs wrote in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) logs: Option<PathBuf>,
}

impl Settings {
    /// The folder of the programs.
    pub(crate) fn programs(&self) -> Result<PathBuf> {
        if let Some(programs) = &self.programs {
            return Ok(programs.clone());
        }
        let own = env::current_exe()?;
        let folder = own.parent().context("this program is in no folder")?;
        Ok(folder.to_owned())
    }
}

fn minutes(text: &str) -> Result<Duration> {
    let minutes: f64 = text
        .parse()
        .context("a number is needed, such as 2 or 0.5")?;
    let (least, most) = (MINUTES.start(), MINUTES.end());
    ensure!(MINUTES.contains(&minutes), "it is {least} to {most}");
    Ok(Duration::from_secs_f64(minutes * 60.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_a_number_in_bounds() {
        assert_eq!(minutes("0.5").unwrap(), Duration::from_secs(30));
        for text in ["0", "-1", "NaN", "inf", "two", "1e9"] {
            assert!(minutes(text).is_err(), "{text}");
        }
    }
}
