//! `/dead-letters`: what services gave up. Letters are looked at, put back, and thrown away.

use super::{known, shown};
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{Admin, Body, Fields, FromFields, OfQueue},
    routes::openapi::{Bad, Forbidden, Guessing, Unavailable},
};
use axum::{Json, extract::State};
use jiff::Timestamp;
use replybus::dead_letters::{DeadLetter, DeadLetterError, DeadLetterQueue, NotRedriven};
use serde::Serialize;
use serde_json::Value;
use std::{error::Error, future::Future, sync::Arc, time::Duration};
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Letters that are listed: the oldest. For the moment of the look nobody else is given them.
const LISTED: u64 = 50;
/// Letters that are put back or thrown away with one request: what a gateway can do in its time.
const AT_ONCE: u64 = 2_000;
/// The broker answers within this, or is away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(8);

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(redrive))
        .routes(routes!(purge))
}

/// The letters of a queue.
#[derive(Debug, Serialize, ToSchema)]
struct Letters {
    /// All that there are.
    total: u64,
    /// The oldest fifty.
    letters: Vec<Letter>,
}

/// A letter. Nothing secret is in it: of the auth service's nothing that it says, of others the
/// arguments that are known to be none.
#[derive(Debug, Serialize, ToSchema)]
struct Letter {
    /// The id of the call or event, if it has one.
    id: Option<String>,
    /// The method, or the routing key of the event.
    method: String,
    /// The program that sent it, by its own word.
    from: Option<String>,
    /// The kind of its error.
    reason: String,
    /// Its error in words.
    error: Option<String>,
    /// What is wrong with it, if it can't be read: it can't be put back then.
    malformed: Option<String>,
    /// How often its handler was begun, if that is known.
    attempts: Option<u32>,
    /// `false` if its handler surely did not run.
    may_have_executed: bool,
    /// When it was sent, by the clock of its sender.
    #[schema(value_type = Option<String>, format = DateTime)]
    sent_at: Option<Timestamp>,
    /// When it was given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    died_at: Option<Timestamp>,
    /// How often it was put back before.
    redriven: u32,
    /// Its arguments, or the event.
    #[schema(value_type = Option<Object>)]
    arguments: Option<Value>,
}

impl Letter {
    fn of(queue: &str, letter: &DeadLetter) -> Self {
        let is_secret = shown::is_secret(queue);
        let said = |text: &str| (!is_secret && !text.is_empty()).then(|| shown::text(text));
        Self {
            id: letter.id().map(shown::text),
            method: shown::text(letter.name()),
            from: letter.caller().map(shown::text),
            reason: shown::text(letter.reason()),
            error: said(letter.error()),
            malformed: match letter.malformed() {
                Some(_) if is_secret => Some("it can't be read".to_owned()),
                why => why.map(shown::text),
            },
            attempts: letter.attempts(),
            may_have_executed: letter.may_have_executed(),
            sent_at: letter.sent_at().and_then(|at| at.try_into().ok()),
            died_at: letter.died_at().and_then(|at| at.try_into().ok()),
            redriven: letter.redriven(),
            arguments: match is_secret {
                true => None,
                false => letter.arguments().ok().map(shown::arguments),
            },
        }
    }
}

/// Which letters.
#[derive(ToSchema)]
struct LettersBody {
    /// The queue that they come from.
    queue: &'static str,
    /// The one with this id.
    id: Option<String>,
    /// All of them; either this or an id.
    #[allow(dead_code, reason = "without an id it is so")]
    all: Option<bool>,
    /// Put back also what may have been done so long ago that nothing remembers it.
    twice: Option<bool>,
}

impl FromFields for LettersBody {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        let queue = known(&fields.text("queue")?)?;
        let id = fields.optional_text("id")?;
        let all = fields.optional_flag("all")?;
        if id.is_some() == (all == Some(true)) {
            return Err(Problem::field("id", "either it or \"all\": true is needed"));
        }
        let twice = fields.optional_flag("twice")?;
        Ok(Self {
            queue,
            id,
            all,
            twice,
        })
    }
}

impl LettersBody {
    fn wanted(&self) -> impl FnMut(&DeadLetter) -> bool + Send + 'static {
        let id = self.id.clone();
        move |letter| id.is_none() || letter.id() == id.as_deref()
    }
}

/// What became of letters that were to be put back.
#[derive(Debug, Serialize, ToSchema)]
struct PutBack {
    /// Those that are handled once more.
    redriven: u64,
    /// Those that stay.
    stayed: u64,
    /// Why the first of them stays.
    why_stayed: Option<String>,
    /// `true` if it stays only because nothing would remember that it was done: it is put back with
    /// `twice`.
    needs_twice: bool,
}

/// What became of letters that were to be thrown away.
#[derive(Debug, Serialize, ToSchema)]
struct ThrownAway {
    /// Those that are gone.
    purged: u64,
}

/// What a service gave up, the oldest fifty. They stay where they are.
#[utoipa::path(
    get,
    path = "/dead-letters",
    tag = "operating",
    params(OfQueue),
    security(("admin" = [])),
    responses((status = OK, body = Letters), Bad, Forbidden, Guessing, Unavailable)
)]
async fn list(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
    OfQueue { queue }: OfQueue,
) -> Result<Json<Letters>, Problem> {
    let queue = known(&queue)?;
    let letters = of(&gateway, queue);
    let Some(page) = done(queue, letters.list(0..LISTED)).await? else {
        return Ok(Json(Letters {
            total: 0,
            letters: Vec::new(),
        }));
    };
    let letters = page.letters.iter().map(|letter| Letter::of(queue, letter));
    Ok(Json(Letters {
        total: page.total,
        letters: letters.collect(),
    }))
}

/// Has letters handled once more: up to two thousand at a time.
#[utoipa::path(
    post,
    path = "/dead-letters/redrive",
    tag = "operating",
    request_body = LettersBody,
    security(("admin" = [])),
    responses((status = OK, body = PutBack), Bad, Forbidden, Guessing, Unavailable)
)]
async fn redrive(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
    Body(which): Body<LettersBody>,
) -> Result<Json<PutBack>, Problem> {
    let redrive = of(&gateway, which.queue).redrive(which.wanted());
    let mut redrive = redrive.at_most(AT_ONCE);
    if which.twice == Some(true) {
        redrive = redrive.may_run_twice();
    }
    let outcome = done(which.queue, redrive.into_future()).await?;
    let (redriven, stayed) = outcome
        .as_ref()
        .map_or((0, 0), |outcome| (outcome.redriven, outcome.stayed));
    tracing::info!(
        queue = which.queue,
        redriven,
        stayed,
        "letters were put back"
    );
    let why = outcome.and_then(|outcome| outcome.why_stayed);
    Ok(Json(PutBack {
        redriven,
        stayed,
        needs_twice: matches!(why, Some(NotRedriven::Forgotten)),
        why_stayed: why.map(|why| match shown::is_secret(which.queue) {
            true => "it can't be put back".to_owned(),
            false => shown::text(&why.to_string()),
        }),
    }))
}

/// Throws letters away: up to two thousand at a time. They are lost.
#[utoipa::path(
    post,
    path = "/dead-letters/purge",
    tag = "operating",
    request_body = LettersBody,
    security(("admin" = [])),
    responses((status = OK, body = ThrownAway), Bad, Forbidden, Guessing, Unavailable)
)]
async fn purge(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
    Body(which): Body<LettersBody>,
) -> Result<Json<ThrownAway>, Problem> {
    let purge = of(&gateway, which.queue).purge(which.wanted());
    let purged = done(which.queue, purge.at_most(AT_ONCE).into_future()).await?;
    let purged = purged.unwrap_or_default();
    tracing::info!(queue = which.queue, purged, "letters were thrown away");
    Ok(Json(ThrownAway { purged }))
}

fn of(gateway: &Gateway, queue: &str) -> DeadLetterQueue {
    gateway.platform.bus.dead_letters(queue)
}

/// What was done; `None` if there never was a queue of letters.
async fn done<T>(
    queue: &str,
    doing: impl Future<Output = Result<T, DeadLetterError>>,
) -> Result<Option<T>, Problem> {
    let failed = |error: &(dyn Error + 'static)| {
        tracing::warn!(queue, error, "letters could not be dealt with");
        Problem::not_available()
    };
    match timeout(ANSWERS_WITHIN, doing).await {
        Ok(Ok(done)) => Ok(Some(done)),
        Ok(Err(DeadLetterError::NoQueue { .. })) => Ok(None),
        Ok(Err(error)) => Err(failed(&error)),
        Err(late) => Err(failed(&late)),
    }
}
