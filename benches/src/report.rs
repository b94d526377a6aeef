//! What was measured, as a table for people and as lines of JSON for programs.

use crate::{
    cpu::Cpu,
    load::Slice,
    plan::{Setting, Stage},
    stats::{median, round},
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// What one path did in one round.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// How long calls took, and how many there were.
    pub slice: Slice,
    /// The time in which it counted.
    pub seconds: Duration,
    /// The processor time in it.
    pub cpu: Cpu,
}

/// One path under one load: medians over the rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The path.
    pub path: String,
    /// Calls under way at any time.
    pub callers: u32,
    /// Bytes of text there and back.
    pub payload_bytes: u32,
    /// Processes that answer.
    pub workers: u32,
    /// What a handler takes, in microseconds.
    pub handler_us: u32,
    /// Half of the calls took no longer, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 calls took no longer, in microseconds.
    pub p99_us: f64,
    /// 999 of 1,000 calls took no longer, in microseconds.
    pub p999_us: f64,
    /// Calls answered in a second.
    pub calls_per_s: f64,
    /// The same, as a multiple of the first path's in the same round.
    pub ratio_to_raw: f64,
    /// Processor time of a call in the process that calls, in microseconds, over all rounds.
    pub cpu_us_caller: Option<f64>,
    /// The same of those that answer.
    pub cpu_us_worker: Option<f64>,
    /// The same of the server that carries requests.
    pub cpu_us_broker: Option<f64>,
    /// The same of Redis.
    pub cpu_us_redis: Option<f64>,
}

impl Row {
    /// The medians of a path's turns; `first` holds those of the path it is compared with, round by
    /// round.
    #[must_use]
    pub fn new(
        path: &str,
        stage: &Stage,
        setting: Setting,
        turns: &[Turn],
        first: &[Turn],
    ) -> Self {
        let middle = |figure: fn(&Slice) -> f64| {
            let figures = turns.iter().map(|turn| figure(&turn.slice));
            round(median(figures), 10.0)
        };
        let pairs = turns.iter().zip(first);
        let ratios = pairs.map(|(turn, first)| turn.slice.calls_per_s / first.slice.calls_per_s);
        let calls: f64 = turns.iter().map(Turn::calls).sum();
        let cpu = |of: fn(&Cpu) -> Option<Duration>| -> Option<f64> {
            let taken = turns
                .iter()
                .map(|turn| of(&turn.cpu))
                .sum::<Option<Duration>>()?;
            let us = taken.as_secs_f64() * 1e6 / calls;
            us.is_finite().then(|| round(us, 10.0))
        };
        Self {
            path: path.to_owned(),
            callers: setting.callers,
            payload_bytes: setting.payload_bytes,
            workers: stage.workers,
            handler_us: stage.handler_us,
            p50_us: middle(|slice| slice.p50_us),
            p99_us: middle(|slice| slice.p99_us),
            p999_us: middle(|slice| slice.p999_us),
            calls_per_s: middle(|slice| slice.calls_per_s),
            ratio_to_raw: round(median(ratios), 1000.0),
            cpu_us_caller: cpu(|cpu| cpu.caller),
            cpu_us_worker: cpu(|cpu| cpu.worker),
            cpu_us_broker: cpu(|cpu| cpu.broker),
            cpu_us_redis: cpu(|cpu| cpu.redis),
        }
    }

    /// What a call takes of all processors together, in microseconds, as far as it is known.
    #[must_use]
    pub fn cpu_us(&self) -> f64 {
        self.cpu().into_iter().flatten().sum()
    }

    /// The same by caller, worker, broker and Redis.
    #[must_use]
    pub fn cpu(&self) -> [Option<f64>; 4] {
        [
            self.cpu_us_caller,
            self.cpu_us_worker,
            self.cpu_us_broker,
            self.cpu_us_redis,
        ]
    }

    /// `true` if another path was measured under the same load.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        let load = |row: &Self| (row.callers, row.payload_bytes, row.workers, row.handler_us);
        load(self) == load(other)
    }
}

impl Turn {
    fn calls(&self) -> f64 {
        self.slice.calls_per_s * self.seconds.as_secs_f64()
    }
}

/// Prints rows as a table, a block for each load.
#[derive(Debug)]
pub struct Table<'a>(pub &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<&Row> = None;
        for row in self.0 {
            if before.is_none_or(|before| !before.is_beside(row)) {
                head(f, row)?;
            }
            line(f, row)?;
            before = Some(row);
        }
        Ok(())
    }
}

fn head(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    writeln!(
        f,
        "\n{} callers, {} bytes, {} workers, handlers of {} us",
        row.callers, row.payload_bytes, row.workers, row.handler_us
    )?;
    writeln!(
        f,
        "{:<18} {:>9} {:>9} {:>9} {:>9} {:>7}   CPU us a call: caller worker broker redis",
        "path", "p50 us", "p99 us", "p99.9 us", "calls/s", "to raw"
    )
}

fn line(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    write!(
        f,
        "{:<18} {:>9.0} {:>9.0} {:>9.0} {:>9.0} {:>7.2}                 ",
        row.path, row.p50_us, row.p99_us, row.p999_us, row.calls_per_s, row.ratio_to_raw,
    )?;
    for cpu in row.cpu() {
        match cpu {
            Some(us) => write!(f, " {us:>6.1}")?,
            None => write!(f, " {:>6}", "-")?,
        }
    }
    writeln!(f)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Turns of a path that takes so long in each round, and a processor for a tenth of it.
    fn turns(p50_us: &[f64]) -> Vec<Turn> {
        let turn = |p50_us: &f64| Turn {
            slice: Slice {
                p50_us: *p50_us,
                p99_us: p50_us * 2.0,
                p999_us: p50_us * 3.0,
                calls_per_s: 1e6 / p50_us,
            },
            seconds: Duration::from_secs(1),
            cpu: Cpu {
                caller: Some(Duration::from_millis(100)),
                worker: Some(Duration::from_millis(200)),
                broker: None,
                redis: Some(Duration::ZERO),
            },
        };
        p50_us.iter().map(turn).collect()
    }

    /// The row of a path at so many callers.
    pub(crate) fn row(path: &str, callers: u32, payload_bytes: u32, p50_us: f64) -> Row {
        let stage = Stage {
            workers: 1,
            handler_us: 0,
            settings: Vec::new(),
        };
        let setting = Setting {
            callers,
            payload_bytes,
        };
        Row::new(path, &stage, setting, &turns(&[p50_us]), &turns(&[100.0]))
    }

    #[test]
    fn ratios_pair_the_rounds_and_processor_time_is_of_all_of_them() {
        // The machine was slow in the second round, for both.
        let first = turns(&[100.0, 400.0, 100.0]);
        let path = turns(&[200.0, 800.0, 200.0]);
        let stage = Stage {
            workers: 4,
            handler_us: 100,
            settings: Vec::new(),
        };
        let setting = Setting {
            callers: 8,
            payload_bytes: 128,
        };
        let row = Row::new("path", &stage, setting, &path, &first);
        // 0.3 s for 5,000 + 1,250 + 5,000 calls.
        let line = r#"{"path":"path","callers":8,"payload_bytes":128,"workers":4,"handler_us":100,"p50_us":200.0,"p99_us":400.0,"p999_us":600.0,"calls_per_s":5000.0,"ratio_to_raw":0.5,"cpu_us_caller":26.7,"cpu_us_worker":53.3,"cpu_us_broker":null,"cpu_us_redis":0.0}"#;
        assert_eq!(serde_json::to_string(&row).unwrap(), line);
        assert_eq!(serde_json::from_str::<Row>(line).unwrap(), row);
        assert_eq!(round(row.cpu_us(), 10.0).to_bits(), 80.0_f64.to_bits());
    }

    #[test]
    fn the_table_has_a_block_for_each_load() {
        let rows = [
            row("raw", 1, 128, 100.0),
            row("path", 1, 128, 200.0),
            row("raw", 64, 128, 100.0),
        ];
        let table = Table(&rows).to_string();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 2 * 3 + 3);
        assert_eq!(
            lines[4],
            "path                     200       400       600      5000    0.50                    20.0   40.0      -    0.0"
        );
    }
}
