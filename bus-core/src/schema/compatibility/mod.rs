//! What has changed between two versions of contracts, and whom it breaks.
//!
//! A change breaks if something of before, that is out there, no longer works: a caller with the old
//! contract and a service with the new one, or an event that was emitted before it. If only callers
//! with the new contract fail, at services with the old one, nothing is broken as long as the service
//! is deployed first.

mod form;
mod methods;
mod reading;

use super::{
    Contracts,
    document::{Definitions, Document, EventSchema, ServiceSchema, TypeSchema},
};
use reading::{Problem, Reading};
use serde_json::Value;
use std::{cmp::Reverse, fmt};

/// Whom a change is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Impact {
    /// Old and new programs understand each other, whichever is deployed first.
    Compatible,
    /// Callers with the new contract fail at services with the old one: deploy the service first.
    ServiceFirst,
    /// Programs with the old contract fail.
    Breaking,
}

/// One difference between two versions of contracts.
///
/// ```
/// use replybus::schema::{Contracts, Impact};
/// # mod before {
/// #     use replybus::{Never, queue_handler};
/// #     #[queue_handler("rates.requests")]
/// #     pub trait Rates {
/// #         #[query]
/// #         async fn rate(&self, currency: String) -> Result<u64, Never>;
/// #     }
/// # }
/// # mod now {
/// #     use replybus::{Never, queue_handler};
/// #     #[queue_handler("rates.requests")]
/// #     pub trait Rates {
/// #         #[query]
/// #         async fn rate(&self, currency: String, day: u32) -> Result<u64, Never>;
/// #     }
/// # }
/// let before = Contracts::builder().service(before::RatesClient::CONTRACT).build()?;
/// let now = Contracts::builder().service(now::RatesClient::CONTRACT).build()?;
/// let changes = now.changes_since(&before);
/// assert_eq!(changes[0].impact, Impact::Breaking);
/// assert_eq!(
///     changes[0].to_string(),
///     "breaking: Rates.rate arguments.day is not sent by a caller with the old contract, and a \
///      service with the new one does not read it without",
/// );
/// # Ok::<(), replybus::schema::SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Whom it is for.
    pub impact: Impact,
    /// The service, method or event: `Accounts.deposit`.
    pub subject: String,
    /// Where in what travels: `arguments.entry.lines[].amount`; empty of the whole.
    pub path: String,
    /// What is different, and who notices.
    pub reason: String,
}

impl Contracts {
    /// What is different from an earlier version of the same contracts, the worst first. A service is
    /// known again by its queue, or else by its name.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        let mut changes = Changes::new(&before.0, &self.0);
        changes.services();
        changes.events();
        changes.found.sort_by_key(|change| Reverse(change.impact));
        changes.found
    }
}

/// Two versions, and what was found between them.
struct Changes<'a> {
    old: &'a Document,
    new: &'a Document,
    found: Vec<Change>,
}

impl<'a> Changes<'a> {
    fn new(old: &'a Document, new: &'a Document) -> Self {
        Self {
            old,
            new,
            found: Vec::new(),
        }
    }

    fn add(&mut self, impact: Impact, subject: &str, path: &str, reason: impl Into<String>) {
        self.found.push(Change {
            impact,
            subject: subject.to_owned(),
            path: path.to_owned(),
            reason: reason.into(),
        });
    }

    fn services(&mut self) {
        let (old, new) = (&self.old.services, &self.new.services);
        let same = |one: &ServiceSchema, among: &'a [ServiceSchema]| -> Option<&'a ServiceSchema> {
            let by_queue = among.iter().find(|other| other.queue == one.queue);
            by_queue.or_else(|| among.iter().find(|other| other.service == one.service))
        };
        for before in old {
            match same(before, new) {
                Some(now) => self.service(before, now),
                None => self.add(
                    Impact::Breaking,
                    &before.service,
                    "",
                    "is gone: callers with the old contract find nobody",
                ),
            }
        }
        for now in new.iter().filter(|now| same(now, old).is_none()) {
            self.add(Impact::ServiceFirst, &now.service, "", "is new");
        }
    }

    fn service(&mut self, old: &ServiceSchema, new: &ServiceSchema) {
        let name = &new.service;
        if old.queue != new.queue {
            let reason = format!(
                "takes requests from {:?} now: callers with the old contract send them to {:?}",
                new.queue, old.queue
            );
            self.add(Impact::Breaking, name, "queue", reason);
        }
        if old.partitions != new.partitions {
            let shown = |partitions: Option<u16>| match partitions {
                Some(partitions) => format!("{partitions} partitions"),
                None => "no partitions".to_owned(),
            };
            let reason = format!(
                "has {} now, and had {}: a service with the new contract refuses how callers with \
                 the old one divide their calls",
                shown(new.partitions),
                shown(old.partitions)
            );
            self.add(Impact::Breaking, name, "partitions", reason);
        }
        for (method, before) in &old.methods {
            let subject = format!("{name}.{method}");
            match new.methods.get(method) {
                Some(now) => self.method(&subject, before, now),
                None => self.add(
                    Impact::Breaking,
                    &subject,
                    "",
                    "is gone: a service with the new contract does not know it",
                ),
            }
        }
        let added = new
            .methods
            .keys()
            .filter(|method| !old.methods.contains_key(*method));
        for method in added {
            let subject = format!("{name}.{method}");
            let reason = "is new: a service with the old contract does not know it";
            self.add(Impact::ServiceFirst, &subject, "", reason);
        }
    }

    fn events(&mut self) {
        let (old, new) = (&self.old.events, &self.new.events);
        let same = |one: &EventSchema, among: &'a [EventSchema]| {
            among.iter().find(|other| other.event == one.event)
        };
        for before in old {
            match same(before, new) {
                Some(now) => self.event(before, now),
                None => self.add(
                    Impact::Breaking,
                    &before.event,
                    "",
                    "is gone: those who subscribed to it wait for what never comes",
                ),
            }
        }
        for now in new.iter().filter(|now| same(now, old).is_none()) {
            self.add(Impact::Compatible, &now.event, "", "is new");
        }
    }

    /// An event is read by who subscribed before, and what was emitted before is still in queues.
    fn event(&mut self, old: &EventSchema, new: &EventSchema) {
        let subject = &new.event;
        if old.exchange != new.exchange {
            let reason = format!(
                "goes to {:?} now, and groups of before hear {:?}",
                new.exchange, old.exchange
            );
            self.add(Impact::Breaking, subject, "exchange", reason);
        }
        let now = (
            "a program with the new contract",
            "a group with the old one",
        );
        let before = (
            "a program with the old contract",
            "a group with the new one",
        );
        let of_now = read_by_old(self, &old.body, &new.body, now);
        let of_before = read_by_new(self, &old.body, &new.body, before);
        let is_found = !of_now.is_empty() || !of_before.is_empty();
        self.problems(Impact::Breaking, subject, "body", of_now);
        self.problems(Impact::Breaking, subject, "body", of_before);
        let old = old.body.fingerprint_of(&self.old.definitions);
        if !is_found && old != new.body.fingerprint_of(&self.new.definitions) {
            self.add(
                Impact::Compatible,
                subject,
                "body",
                "changed, and is read as before",
            );
        }
    }

    /// Adds what was found of one part, each place once.
    fn problems(&mut self, impact: Impact, subject: &str, part: &str, problems: Vec<Problem>) {
        for Problem { path, what } in problems {
            let path = format!("{part}{path}");
            let is_known = |change: &Change| change.subject == subject && change.path == path;
            if !self.found.iter().any(is_known) {
                self.add(impact, subject, &path, what);
            }
        }
    }
}

/// What a reader with the old contract can't read of what is written by the new one; `parties` are
/// who writes and who reads.
fn read_by_old(
    changes: &Changes<'_>,
    old: &TypeSchema,
    new: &TypeSchema,
    parties: (&str, &str),
) -> Vec<Problem> {
    let (reader, writer) = (&changes.old.definitions, &changes.new.definitions);
    unread((old, reader), (new, writer), parties)
}

/// What a reader with the new contract can't read of what is written by the old one.
fn read_by_new(
    changes: &Changes<'_>,
    old: &TypeSchema,
    new: &TypeSchema,
    parties: (&str, &str),
) -> Vec<Problem> {
    let (writer, reader) = (&changes.old.definitions, &changes.new.definitions);
    unread((new, reader), (old, writer), parties)
}

fn unread(
    (read, reader): (&TypeSchema, &Definitions),
    (written, writer): (&TypeSchema, &Definitions),
    (writes, reads): (&str, &str),
) -> Vec<Problem> {
    let (reader, writer) = (reader.read_view(), writer.written_view());
    let (read, written): (&Value, &Value) = (read.view(reader), written.view(writer));
    let problems = Reading::new(reader, writer).problems(read, written);
    let named = problems.into_iter().map(|problem| Problem {
        what: problem.what.replace("{w}", writes).replace("{r}", reads),
        ..problem
    });
    named.collect()
}

impl Impact {
    /// One word for it, or two.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::ServiceFirst => "service first",
            Self::Breaking => "breaking",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject,
            path,
            reason,
            ..
        } = self;
        write!(f, "{}: {subject} ", self.impact.as_str())?;
        if !path.is_empty() {
            write!(f, "{path} ")?;
        }
        f.write_str(reason)
    }
}
