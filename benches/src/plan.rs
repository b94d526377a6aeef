//! Which loads the paths are measured under.

use crate::echo::{TEXT_BYTES, TEXT_BYTES_MAX};
use anyhow::{Result, ensure};

/// Callers at a time that are measured by default.
const CALLERS: [u32; 5] = [1, 8, 64, 512, 4096];
/// Payloads that are measured beside [`TEXT_BYTES`] by default.
const PAYLOADS: [u32; 4] = [16, 1024, 16 * 1024, TEXT_BYTES_MAX];
/// Workers with which handlers that take time are measured by default.
pub(crate) const WORKERS: u32 = 4;
/// What those handlers take, in microseconds.
const HANDLERS_US: [u32; 4] = [0, 100, 1_000, 10_000];
/// Callers at a time where something else varies: a service that is busy, and does not queue up.
pub(crate) const BUSY: u32 = 64;
/// Bytes under way at once. Redis holds the replies, RabbitMQ the requests.
const UNDER_WAY_MAX: u64 = 64 * 1024 * 1024;

/// How many call at once, and what each call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Calls under way at any time.
    pub callers: u32,
    /// Bytes of text there and back.
    pub payload_bytes: u32,
}

/// Settings that are measured in turns, with the same workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Processes that answer.
    pub workers: u32,
    /// What a handler takes, in microseconds.
    pub handler_us: u32,
    /// The loads, in the order of their turns.
    pub settings: Vec<Setting>,
}

/// What the user asked for; what is empty was not.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Callers at a time.
    pub callers: &'a [u32],
    /// Bytes of text.
    pub payloads: &'a [u32],
    /// Processes that answer.
    pub workers: &'a [u32],
    /// What a handler takes, in microseconds.
    pub handlers_us: &'a [u32],
}

impl Wanted<'_> {
    /// The stages: if nothing was asked for three series (by callers, by payload, by the time of
    /// handlers of four workers), else all combinations of what was.
    ///
    /// # Errors
    /// More would be under way than servers should have to hold.
    pub fn stages(self) -> Result<Vec<Stage>> {
        let Self {
            callers,
            payloads,
            workers,
            handlers_us,
        } = self;
        if [callers, payloads, workers, handlers_us]
            .iter()
            .all(|it| it.is_empty())
        {
            return Ok(series());
        }
        let callers = or(callers, &CALLERS);
        let payloads = or(payloads, &[TEXT_BYTES]);
        let settings: Vec<_> = payloads
            .iter()
            .flat_map(|payload| callers.iter().map(|callers| setting(*callers, *payload)))
            .collect();
        for Setting {
            callers,
            payload_bytes,
        } in &settings
        {
            ensure!(
                u64::from(*callers) * u64::from(*payload_bytes) <= UNDER_WAY_MAX,
                "{callers} callers with {payload_bytes} bytes each are more than \
                 {UNDER_WAY_MAX} bytes under way"
            );
        }
        let stage = |workers: u32, handler_us: u32| Stage {
            workers,
            handler_us,
            settings: settings.clone(),
        };
        let handlers_us = or(handlers_us, &[0]);
        Ok(or(workers, &[1])
            .iter()
            .flat_map(|workers| handlers_us.iter().map(|handler| stage(*workers, *handler)))
            .collect())
    }
}

fn series() -> Vec<Stage> {
    let by_callers = CALLERS.map(|callers| setting(callers, TEXT_BYTES));
    let by_payload = PAYLOADS.map(|payload| setting(BUSY, payload));
    let mut stages = vec![Stage {
        workers: 1,
        handler_us: 0,
        settings: by_callers.into_iter().chain(by_payload).collect(),
    }];
    stages.extend(HANDLERS_US.map(|handler_us| Stage {
        workers: WORKERS,
        handler_us,
        settings: vec![setting(BUSY, TEXT_BYTES)],
    }));
    stages
}

fn setting(callers: u32, payload_bytes: u32) -> Setting {
    Setting {
        callers,
        payload_bytes,
    }
}

fn or<'a>(given: &'a [u32], default: &'a [u32]) -> &'a [u32] {
    if given.is_empty() { default } else { given }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted<'a>(callers: &'a [u32], payloads: &'a [u32], workers: &'a [u32]) -> Wanted<'a> {
        Wanted {
            callers,
            payloads,
            workers,
            handlers_us: &[],
        }
    }

    #[test]
    fn without_a_wish_each_dimension_is_varied_alone() {
        let stages = wanted(&[], &[], &[]).stages().unwrap();
        assert_eq!(stages.len(), 1 + HANDLERS_US.len());
        let settings: usize = stages.iter().map(|stage| stage.settings.len()).sum();
        assert_eq!(settings, CALLERS.len() + PAYLOADS.len() + HANDLERS_US.len());
        assert!(stages[0].settings.contains(&setting(BUSY, TEXT_BYTES)));
    }

    #[test]
    fn wishes_are_combined() {
        let stages = wanted(&[1, 2], &[16, 32], &[1, 3]).stages().unwrap();
        let workers: Vec<_> = stages.iter().map(|stage| stage.workers).collect();
        assert_eq!(workers, [1, 3]);
        assert_eq!(stages[1].settings.len(), 4);
        assert_eq!(stages[1].settings[1], setting(2, 16));
    }

    #[test]
    fn what_would_fill_a_server_is_refused() {
        assert!(wanted(&[4096], &[16 * 1024], &[]).stages().is_ok());
        assert!(wanted(&[4096], &[32 * 1024], &[]).stages().is_err());
    }
}
