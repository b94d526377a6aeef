//! A soak: nothing fails, and what the programs take is looked at. It must stay what it was.

use crate::{
    audit::{Kind, Violation},
    report::Teller,
    site::Site,
};
use anyhow::Result;
use std::{fmt, fs, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Looks of one soak; the first fifth of them is the time in which programs grow to what they need.
const LOOKS: usize = 30;
const WARM_UP: usize = LOOKS / 5;
/// What may be more in the end: of the memory of a program a quarter and 8 MiB, which its allocator
/// may hold back; of descriptors as many as connections come and go; and messages that are under
/// way. Of keys in Redis those must not grow that never expire: the others go, such as the claim of
/// each event after a day.
const MEMORY_BYTES: u64 = 8 * 1024 * 1024;
const DESCRIPTORS: u64 = 32;
const UNDER_WAY: u64 = 1_000;
const LASTING_KEYS: u64 = 32;

/// What one program takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    memory_bytes: u64,
    descriptors: u64,
}

/// What there is at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Look {
    /// Of each program, by number.
    programs: Vec<Usage>,
    keys: u64,
    /// Those of them that never expire.
    lasting_keys: u64,
    queues: u64,
    messages: u64,
}

/// Looks at the site, evenly over this time; returns what has grown that must not.
///
/// # Errors
/// A server does not answer.
///
/// # Cancel safety
/// Safe; it only looks.
pub(crate) async fn watch(
    within: Duration,
    teller: &Teller,
    site: &Site,
) -> Result<Vec<Violation>> {
    let begin = Instant::now();
    let mut looks = Vec::new();
    for number in 1..=LOOKS {
        let part = u32::try_from(number).unwrap_or(u32::MAX);
        sleep_until(begin + within * part / u32::try_from(LOOKS).unwrap_or(1)).await;
        let look = Look::at(site).await?;
        teller.tell(&look);
        looks.push(look);
    }
    let names = site.names();
    for line in by_program(&looks, &names) {
        teller.tell(line);
    }
    Ok(grown(&looks, &names))
}

/// What each program had in memory after the first fifth of the time, half of it, and all of it.
fn by_program(looks: &[Look], names: &[String]) -> Vec<String> {
    let at = |look: usize, number: usize| {
        let program = looks.get(look).and_then(|look| look.programs.get(number));
        program.map_or(0, |usage| usage.memory_bytes) / 1024 / 1024
    };
    let times = [WARM_UP, LOOKS / 2, LOOKS].map(|looks| looks - 1);
    let names = names.iter().enumerate();
    names
        .map(|(number, name)| {
            let [early, middle, late] = times.map(|look| at(look, number));
            format!("{name}: {early} MiB, {middle}, {late}")
        })
        .collect()
}

impl Look {
    async fn at(site: &Site) -> Result<Self> {
        let queues = site.servers.messages().await?;
        let programs = site.programs.iter().map(|program| {
            let process = program.process();
            process.map_or_else(Usage::default, Usage::of)
        });
        let (keys, lasting_keys) = site.servers.redis_keys().await?;
        Ok(Self {
            programs: programs.collect(),
            keys,
            lasting_keys,
            queues: u64::try_from(queues.len())?,
            messages: queues.iter().map(|(_, messages)| messages).sum(),
        })
    }

    fn total(&self) -> Usage {
        let mut total = Usage::default();
        for usage in &self.programs {
            total.memory_bytes += usage.memory_bytes;
            total.descriptors += usage.descriptors;
        }
        total
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage {
            memory_bytes,
            descriptors,
        } = self.total();
        let mib = memory_bytes / 1024 / 1024;
        let (keys, lasting) = (self.keys, self.lasting_keys);
        let (queues, messages) = (self.queues, self.messages);
        write!(
            f,
            "{mib} MiB, {descriptors} descriptors, {keys} keys in Redis ({lasting} for ever), \
             {messages} messages in {queues} queues"
        )
    }
}

impl Usage {
    /// What a process takes, on Linux; elsewhere it is not known and does not grow.
    fn of(process: u32) -> Self {
        const PAGE_BYTES: u64 = 4096;
        let statm = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"));
        let descriptors = descriptors.map_or(0, Iterator::count);
        Self {
            memory_bytes: pages.unwrap_or(0) * PAGE_BYTES,
            descriptors: u64::try_from(descriptors).unwrap_or(u64::MAX),
        }
    }
}

/// What is more in the last fifth than it may be, by what there was after the first fifth. Of each
/// time the least counts: what comes and goes is no growth.
fn grown(looks: &[Look], names: &[String]) -> Vec<Violation> {
    let (Some(first), Some(last)) = (
        looks.get(WARM_UP..2 * WARM_UP),
        looks.get(looks.len().saturating_sub(WARM_UP)..),
    ) else {
        return Vec::new();
    };
    let least = |of: &dyn Fn(&Look) -> u64| {
        let least = |looks: &[Look]| looks.iter().map(of).min().unwrap_or_default();
        (least(first), least(last))
    };
    let mut grown = Vec::new();
    let mut judge = |what: String, (was, is): (u64, u64), allowed: u64| {
        if is > allowed {
            let what = format!("{what}: it was {was} and is {is}");
            grown.push(Violation {
                kind: Kind::Grown,
                what,
            });
        }
    };
    for (number, name) in names.iter().enumerate() {
        let usage = |look: &Look| look.programs.get(number).copied().unwrap_or_default();
        let memory = least(&|look| usage(look).memory_bytes);
        let allowed = memory.0 + memory.0 / 4 + MEMORY_BYTES;
        judge(format!("bytes of memory of {name}"), memory, allowed);
        let descriptors = least(&|look| usage(look).descriptors);
        let allowed = descriptors.0 + DESCRIPTORS;
        judge(format!("descriptors of {name}"), descriptors, allowed);
    }
    let keys = least(&|look| look.lasting_keys);
    judge(
        "keys in Redis for ever".to_owned(),
        keys,
        keys.0 + LASTING_KEYS,
    );
    let queues = least(&|look| look.queues);
    judge("queues".to_owned(), queues, queues.0);
    let messages = least(&|look| look.messages);
    judge("messages".to_owned(), messages, messages.0 + UNDER_WAY);
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// Looks at one program, of which this is more each time.
    fn looks(more: &Look) -> Vec<Look> {
        let more_of = |what: u64, number: usize| what * u64::try_from(number).unwrap();
        let look = |number| {
            let usage = more.programs.first().copied().unwrap_or_default();
            Look {
                programs: vec![Usage {
                    memory_bytes: 20 * MIB + more_of(usage.memory_bytes, number),
                    descriptors: 30 + more_of(usage.descriptors, number),
                }],
                keys: 100 * more_of(1, number),
                lasting_keys: 8 + more_of(more.lasting_keys, number),
                queues: 14 + more_of(more.queues, number),
                messages: more_of(more.messages, number),
            }
        };
        (0..LOOKS).map(look).collect()
    }

    #[test]
    fn what_stays_as_it_is_has_not_grown() {
        let names = ["bank".to_owned()];
        let mut looks = looks(&Look::default());
        assert_eq!(grown(&looks, &names), []);
        // What comes and goes is no growth.
        looks.last_mut().unwrap().messages = 1_000_000;
        assert_eq!(grown(&looks, &names), []);
    }

    #[test]
    fn each_program_is_told_of_by_itself() {
        let grows = Look {
            programs: vec![Usage {
                memory_bytes: MIB,
                descriptors: 0,
            }],
            ..Look::default()
        };
        let told = by_program(&looks(&grows), &["bank".to_owned()]);
        assert_eq!(told, ["bank: 25 MiB, 34, 49"]);
    }

    #[test]
    fn what_grows_is_noticed() {
        let of_program = |memory_bytes, descriptors| Look {
            programs: vec![Usage {
                memory_bytes,
                descriptors,
            }],
            ..Look::default()
        };
        let of_servers = |lasting_keys, queues, messages| Look {
            lasting_keys,
            queues,
            messages,
            ..Look::default()
        };
        for (more, what) in [
            (of_program(MIB, 0), "bytes of memory of bank"),
            (of_program(0, 3), "descriptors of bank"),
            (of_servers(3, 0, 0), "keys in Redis for ever"),
            (of_servers(0, 1, 0), "queues"),
            (of_servers(0, 0, 100), "messages"),
        ] {
            let grown = grown(&looks(&more), &["bank".to_owned()]);
            assert_eq!(grown.len(), 1, "{what}");
            assert!(grown[0].what.starts_with(what), "{grown:?}");
        }
    }

    #[test]
    fn a_process_takes_something() {
        if cfg!(target_os = "linux") {
            let usage = Usage::of(std::process::id());
            assert!(usage.memory_bytes > MIB / 4 && usage.descriptors > 2);
        }
    }
}
