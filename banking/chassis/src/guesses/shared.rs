//! The counts that the replicas of a program share, in Redis. Each step is one script; its time is
//! that of the server. A record expires when its name is forgotten.

use super::{Admission, Rules, Verdict};
use crate::replicas::Replicas;
use redis::{Script, ScriptInvocation};
use std::time::Duration;
use uuid::Uuid;

/// The code of a step, after what all have in common.
macro_rules! step {
    ($file:literal) => {
        Script::new(concat!(
            include_str!("scripts/record.lua"),
            include_str!($file)
        ))
    };
}

/// Wrong secrets by name, in Redis. Nothing comes of a step while it is away.
#[derive(Debug)]
pub(super) struct SharedCounts {
    rules: Rules,
    replicas: Replicas,
    admit: Script,
    settle: Script,
    pausing: Script,
}

impl SharedCounts {
    pub(super) fn new(rules: Rules, replicas: Replicas) -> Self {
        Self {
            rules,
            replicas,
            admit: step!("scripts/admit.lua"),
            settle: step!("scripts/settle.lua"),
            pausing: step!("scripts/pausing.lua"),
        }
    }

    /// What becomes of a guess, by this id of its own.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the guess may have been admitted: it is to be settled.
    pub(super) async fn try_admit(&self, name: &str, id: Uuid) -> Option<Admission> {
        let step = self.step(&self.admit, name, Some(id));
        let (kind, value): (u8, u64) = self.replicas.run(&step).await?;
        Some(match kind {
            0 => Admission::Now {
                is_first: value == 1,
            },
            1 => Admission::After(Duration::from_millis(value)),
            _ => Admission::Later,
        })
    }

    /// Notes what became of a guess, or of one that was not admitted here.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may be noted or not.
    pub(super) async fn settle(&self, name: &str, id: Option<Uuid>, verdict: Verdict) {
        let mut step = self.step(&self.settle, name, id);
        step.arg(match verdict {
            Verdict::Right => "right",
            Verdict::Wrong => "wrong",
            Verdict::None => "none",
        });
        // Without Redis the process counts for itself.
        let _: Option<()> = self.replicas.run(&step).await;
    }

    /// The time that `name` has to wait, if it has to.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub(super) async fn pausing(&self, name: &str) -> Option<Option<Duration>> {
        let step = self.step(&self.pausing, name, None);
        let left: u64 = self.replicas.run(&step).await?;
        Some((left > 0).then(|| Duration::from_millis(left)))
    }

    fn step<'a>(&self, script: &'a Script, name: &str, id: Option<Uuid>) -> ScriptInvocation<'a> {
        let rules = &self.rules;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut step = script.prepare_invoke();
        step.key(self.replicas.key_of(name))
            .key(self.replicas.key_beside("names"))
            .arg(rules.free)
            .arg(millis(rules.pause_first))
            .arg(millis(rules.pause_max))
            .arg(millis(rules.forgotten_after))
            .arg(millis(rules.lapses_after))
            .arg(rules.names_max)
            .arg(id.map(|id| id.to_string()).unwrap_or_default());
        step
    }
}
