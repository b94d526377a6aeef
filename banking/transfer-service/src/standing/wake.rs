//! Delayed commands that wake the service when an order is due. They carry nothing but its id.

use super::{execution::Execution, record::Standing};
use jiff::Timestamp;
use replybus::{Bus, Context, Never, queue_handler};
use std::{
    error::Error,
    time::{Duration, SystemTime},
};
use tokio::time::timeout;
use uuid::Uuid;

/// An alarm is set no further ahead than this: delays have a bound. What is due later is found
/// overdue, half a minute late, rather than woken on the way by alarms that set others.
const AHEAD_MAX: Duration = Duration::from_secs(180 * 24 * 60 * 60);
/// The broker takes an alarm within this, or it is not set.
const SET_WITHIN: Duration = Duration::from_secs(2);
/// An alarm that nobody heard in this time is not needed: the table was looked at since.
const HEARD_WITHIN: Duration = Duration::from_secs(60 * 60);

/// Commands of the transfer service, for itself. They have a queue of their own, so that a rush of
/// orders at the first of a month holds no user up.
#[queue_handler("transfer.standing", timeout = "30s")]
pub(crate) trait StandingJobs {
    /// Looks whether something of the order is due, and makes it.
    #[command(own_record)]
    async fn wake(&self, order: Uuid) -> Result<(), Never>;
}

/// Sets alarms.
#[derive(Debug, Clone)]
pub(crate) struct Alarm {
    jobs: StandingJobsClient,
}

impl Alarm {
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            jobs: StandingJobsClient::new(bus),
        }
    }

    /// Has the service woken when the order is due. What the broker does not take is found overdue.
    pub(super) async fn set(&self, order: &Standing) {
        let Some(next_at) = order.next_at else {
            return;
        };
        if next_at > Timestamp::now() + AHEAD_MAX {
            return;
        }
        let at = SystemTime::from(next_at);
        let wake = self.jobs.wake(order.id).timeout(HEARD_WITHIN);
        // Nothing of who asked travels with it.
        let setting = Context::builder()
            .build()
            .scope(async { wake.send_at(at).await });
        match timeout(SET_WITHIN, setting).await {
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => not_set(order.id, &failure),
            Err(late) => not_set(order.id, &late),
        }
    }
}

fn not_set(order: Uuid, error: &(dyn Error + 'static)) {
    tracing::warn!(%order, error, "no alarm is set; the order will be found overdue");
}

/// Wakes when told to.
#[derive(Debug)]
pub(crate) struct Waking {
    pub(crate) execution: Execution,
}

impl StandingJobs for Waking {
    async fn wake(&self, order: Uuid) -> Result<(), Never> {
        if let Err(undone) = self.execution.of(order).await {
            let error: &dyn Error = &undone;
            tracing::warn!(%order, error, "a standing order stays due");
        }
        Ok(())
    }
}
