//! Events as they lie in the table, taken out for a while.

use super::{
    given,
    statements::{LEASED, Statements},
};
use crate::database::{Cells, Connections, Kind, Table, after, now};
use replybus::context::TraceContext;
use serde::Serialize;
use std::{collections::HashSet, time::Duration};

/// The table, and the way to it.
#[derive(Debug)]
pub(super) struct Store {
    connections: Connections,
    statements: Statements,
}

/// Events that are this relay's for a while, in the order in which they were put.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) events: Vec<Stored>,
    /// Until when, which also tells whether they still are.
    leased_until: i64,
}

/// An event as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) event: String,
    /// Where it goes and what it is called; a row of before this crate does not say.
    pub(super) named: Option<(String, String)>,
    pub(super) order_key: Option<String>,
    pub(super) trace: Option<TraceContext>,
    /// Times that it could not be emitted for a reason of its own.
    pub(super) attempts: u32,
    position: i64,
}

/// When an event is to be tried again.
#[derive(Debug, Serialize)]
pub(super) struct PutOff {
    id: String,
    until: i64,
    failed: i64,
}

impl PutOff {
    /// `true` of what was given back to be tried at once.
    pub(super) fn is_due(&self) -> bool {
        self.until == 0
    }
}

/// How much there is, as far as that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) events: i64,
    /// When the oldest was put.
    pub(super) oldest: Option<i64>,
}

#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

impl Stored {
    fn read(mut row: Cells) -> Option<Self> {
        let (id, event) = (row.text()?, row.text()?);
        let (exchange, name) = (row.text(), row.text());
        let order_key = row.text();
        let (traceparent, tracestate) = (row.text(), row.text());
        let attempts = row.integer()?;
        Some(Self {
            id,
            event,
            named: exchange.zip(name),
            order_key,
            trace: traceparent
                .and_then(|parent| TraceContext::parse(&parent, tracestate.as_deref())),
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            position: row.integer()?,
        })
    }

    /// To be tried again at once, or after a pause: it did not fail for a reason of its own.
    pub(super) fn given_back(&self, aside: Option<Duration>) -> PutOff {
        PutOff {
            id: self.id.clone(),
            until: aside.map_or(0, after),
            failed: 0,
        }
    }

    /// To be tried again after that long: it failed for a reason of its own.
    pub(super) fn failed(&self, pause: Duration) -> PutOff {
        PutOff {
            id: self.id.clone(),
            until: after(pause),
            failed: 1,
        }
    }
}

impl Store {
    pub(super) fn new(connections: Connections, table: &Table, batch: usize) -> Self {
        Self {
            statements: Statements::of(table, connections.dialect(), batch),
            connections,
        }
    }

    /// Takes the oldest events that no relay is at work on.
    pub(super) async fn lease(&self, lease: Duration) -> sqlx::Result<Batch> {
        let leased_until = after(lease);
        let values = vec![now().into(), leased_until.into()];
        let leased = self
            .connections
            .fetch(&self.statements.lease, values, LEASED);
        let mut events: Vec<_> = leased.await?.into_iter().filter_map(Stored::read).collect();
        events.sort_unstable_by_key(|stored| stored.position);
        Ok(Batch {
            events,
            leased_until,
        })
    }

    /// Which events of a batch come after one of their key that is not in it: another relay took that
    /// at the same time.
    pub(super) async fn held_up(&self, batch: &Batch) -> sqlx::Result<HashSet<String>> {
        let keyed = batch
            .events
            .iter()
            .filter(|stored| stored.order_key.is_some());
        let keyed: Vec<_> = keyed.map(|stored| stored.id.as_str()).collect();
        if keyed.is_empty() {
            return Ok(HashSet::new());
        }
        let held_up = self
            .connections
            .fetch(&self.statements.held_up, ids(&keyed)?, &[Kind::Text]);
        Ok(held_up
            .await?
            .into_iter()
            .filter_map(|mut row| row.text())
            .collect())
    }

    /// Forgets events that the broker has.
    pub(super) async fn forget(&self, events: &[&str]) -> sqlx::Result<()> {
        let forget = self
            .connections
            .execute(&self.statements.forget, ids(events)?);
        forget.await.map(drop)
    }

    /// Gives events of a batch back, unless another relay has them by now.
    pub(super) async fn put_off(&self, batch: &Batch, events: &[PutOff]) -> sqlx::Result<()> {
        let values = vec![given(events)?.into(), batch.leased_until.into()];
        let put_off = self.connections.execute(&self.statements.put_off, values);
        put_off.await.map(drop)
    }

    pub(super) async fn measure(&self) -> sqlx::Result<Measured> {
        const MEASURED: &[Kind] = &[Kind::Integer, Kind::Integer];
        let measured = self
            .connections
            .fetch(&self.statements.measure, Vec::new(), MEASURED);
        let row = measured.await?.into_iter().next();
        let mut row = row.ok_or(sqlx::Error::RowNotFound)?;
        Ok(Measured {
            events: row.integer().unwrap_or_default(),
            oldest: row.integer(),
        })
    }
}

fn ids(ids: &[&str]) -> sqlx::Result<Vec<crate::database::Value>> {
    let rows: Vec<_> = ids.iter().map(|id| Id { id }).collect();
    Ok(vec![given(&rows)?.into()])
}
