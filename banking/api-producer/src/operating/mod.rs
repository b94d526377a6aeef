//! What those who run the bank look at, and what they do about it; with the administrator's secret,
//! all of it.
//!
//! In reading order: [`breakers`] stop calling what fails, and can be reset. A look ([`look`]) at all
//! queues says who serves them and how far behind they are; two of them say what happens
//! ([`services`]), beside what the gateway counts of itself ([`latency`]). [`live`] tells it as it
//! changes. [`letters`] are what services gave up, with nothing in them that is secret ([`shown`]),
//! [`delayed`] is what waits until it is due, and [`jobs`] are what runs for long. The page that shows
//! all this is among the others (`page`).

mod breakers;
mod delayed;
mod jobs;
mod latency;
mod letters;
mod live;
mod look;
mod services;
mod shown;

pub(crate) use breakers::Breakers;
pub(crate) use live::Watchers;
pub(crate) use services::Looks;

use crate::{gateway::Gateway, problem::Problem};
use contracts::program::QUEUES;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// All of these routes.
pub(crate) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .merge(breakers::router())
        .merge(services::router())
        .merge(live::router())
        .merge(letters::router())
        .merge(delayed::router())
        .merge(jobs::router())
}

/// The queue of the bank with this name.
fn known(queue: &str) -> Result<&'static str, Problem> {
    let queues = QUEUES.iter().map(|of| of.queue);
    one_of("queue", queue, queues)
}

/// The one of these names that was given.
fn one_of<'a>(
    field: &str,
    given: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<&'a str, Problem> {
    names.clone().find(|name| *name == given).ok_or_else(|| {
        let names: Vec<_> = names.collect();
        Problem::field(field, &format!("one of {} is needed", names.join(", ")))
    })
}
