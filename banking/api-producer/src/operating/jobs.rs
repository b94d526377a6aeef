//! `/jobs`: commands that take long and are running, such as the export of a statement.

use super::known;
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{Admin, Body, Fields, FromFields},
    routes::openapi::{Bad, Forbidden, Guessing, Missing, Unavailable},
};
use axum::{Json, extract::State, http::StatusCode};
use contracts::program::QUEUES;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use replybus::{
    CallId,
    control::{ControlError, InstanceJobs, RunningJob},
};
use serde::Serialize;
use std::{error::Error, sync::Arc, time::Duration};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Instances that do not answer within this are left out.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// The jobs of one queue.
#[derive(Debug, Serialize, ToSchema)]
struct JobsOfQueue {
    /// The queue.
    queue: &'static str,
    /// Those that run, the oldest first.
    jobs: Vec<Job>,
    /// Those that run and are not among them.
    more: u64,
}

/// A job that runs. The words of its handler are not shown: they may tell of a user.
#[derive(Debug, Serialize, ToSchema)]
struct Job {
    /// The id of its call.
    id: String,
    /// Its method.
    method: String,
    /// Who runs it.
    instance: String,
    /// When this run began.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// The run that this is, from 1.
    run: u32,
    /// What is done, in units of its own, if it says so.
    done: Option<u64>,
    /// What there is to do, if that is known.
    total: Option<u64>,
}

impl Job {
    fn of(instance: &InstanceJobs, job: &RunningJob) -> Self {
        let progress = job.progress.as_ref();
        Self {
            id: job.id.to_string(),
            method: job.method.clone(),
            instance: instance.instance.to_string(),
            since: job.since.try_into().ok(),
            run: job.attempt,
            done: progress.map(|progress| progress.done),
            total: progress.and_then(|progress| progress.total),
        }
    }
}

/// The job that is to be cancelled.
#[derive(ToSchema)]
struct CancelBody {
    /// Its queue.
    queue: &'static str,
    /// The id of its call.
    #[schema(value_type = String)]
    id: CallId,
}

impl FromFields for CancelBody {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        Ok(Self {
            queue: known(&fields.text("queue")?)?,
            id: fields.parsed("id", "the id of a job is needed")?,
        })
    }
}

/// What became of a job that was to be cancelled.
#[derive(Debug, Serialize, ToSchema)]
struct Told {
    /// `told`: who runs it knows, and ends it soon.
    cancelled: &'static str,
}

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(running))
        .routes(routes!(cancel))
}

/// The jobs that run. Queues of which none runs are left out.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "operating",
    security(("admin" = [])),
    responses((status = OK, body = Vec<JobsOfQueue>), Forbidden, Guessing, Unavailable)
)]
async fn running(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
) -> Result<Json<Vec<JobsOfQueue>>, Problem> {
    let looks = QUEUES.iter().map(async |of| {
        let instances = told(&gateway, of.queue).await?;
        let jobs = instances.iter();
        let mut jobs: Vec<_> = jobs
            .flat_map(|instance| instance.jobs.iter().map(|job| Job::of(instance, job)))
            .collect();
        jobs.sort_by_key(|job| job.since);
        let more = instances.iter().map(|instance| instance.more).sum();
        Ok::<_, Problem>(JobsOfQueue {
            queue: of.queue,
            jobs,
            more,
        })
    });
    let mut queues = try_join_all(looks).await?;
    queues.retain(|queue| !queue.jobs.is_empty());
    Ok(Json(queues))
}

/// Tells who runs a job that it is cancelled.
#[utoipa::path(
    post,
    path = "/jobs/cancel",
    tag = "operating",
    request_body = CancelBody,
    security(("admin" = [])),
    responses((status = OK, body = Told), Bad, Forbidden, Missing, Guessing, Unavailable)
)]
async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
    Body(CancelBody { queue, id }): Body<CancelBody>,
) -> Result<Json<Told>, Problem> {
    let instances = told(&gateway, queue).await?;
    if !instances.iter().any(|instance| instance.may_run(id)) {
        let text = "no job with this id runs; it may be done, or wait for who runs it";
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    }
    let control = gateway.platform.bus.control(queue);
    let cancelled = control.within(ANSWERS_WITHIN).cancel(id).await;
    cancelled.map_err(|error| unknown(queue, &error))?;
    tracing::info!(queue, %id, "a job was cancelled");
    Ok(Json(Told { cancelled: "told" }))
}

async fn told(gateway: &Gateway, queue: &str) -> Result<Vec<InstanceJobs>, Problem> {
    let control = gateway.platform.bus.control(queue).within(ANSWERS_WITHIN);
    control.jobs().await.map_err(|error| unknown(queue, &error))
}

fn unknown(queue: &str, error: &ControlError) -> Problem {
    let error: &(dyn Error + 'static) = error;
    tracing::warn!(queue, error, "what jobs run is not known");
    Problem::not_available()
}
