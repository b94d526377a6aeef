//! The attributes and their options: `#[queue_handler("account.requests", timeout = "2s")]`.

use crate::{
    ast,
    cache::{CacheOptions, is_list},
    duration::Millis,
    mistakes::Mistakes,
    model::{Kind, QueueType},
    names::{self, CratePath},
    options::{self, Setting},
    partitions,
    retry::{Retry, is_retry},
};
use proc_macro2::TokenStream;
use syn::{Attribute, Meta};

/// Most handlers or deliveries one service may ask for; `replybus::limits` says why.
const PREFETCH_MAX: u16 = 4096;

/// Handlers that run at once if nothing is said.
const CONCURRENCY: u16 = 32;

/// The options in `#[queue_handler(..)]`.
#[derive(Default)]
pub(crate) struct ServiceOptions {
    pub(crate) queue: String,
    pub(crate) concurrency: Option<u16>,
    pub(crate) prefetch: Option<u16>,
    pub(crate) timeout: Option<Millis>,
    pub(crate) queue_type: QueueType,
    pub(crate) queue_length_max: Option<u32>,
    pub(crate) bundles: Option<bool>,
    pub(crate) partitions: Option<u16>,
    pub(crate) krate: CratePath,
}

impl ServiceOptions {
    const KNOWN: &[&str] = &[
        "concurrency",
        "prefetch",
        "timeout",
        "queue_type",
        "queue_length_max",
        "bundles",
        "partitions",
        "crate",
    ];

    /// Reads the attribute. What is missing or wrong keeps its default and is noted.
    pub(crate) fn read(tokens: TokenStream, mistakes: &mut Mistakes) -> Self {
        let mut parts = options::split(tokens).into_iter();
        let mut this = Self {
            queue: options::leading_name(
                parts.next(),
                "the queue's name comes first: `#[queue_handler(\"account.requests\")]`",
                names::check_entity,
                mistakes,
            ),
            ..Self::default()
        };
        let settings = Setting::read_all(parts, Self::KNOWN, mistakes);
        for setting in &settings {
            match setting.name().as_str() {
                "concurrency" => this.concurrency = setting.integer(1..=PREFETCH_MAX, mistakes),
                "prefetch" => this.prefetch = setting.integer(1..=PREFETCH_MAX, mistakes),
                "timeout" => this.timeout = setting.duration(mistakes),
                "queue_type" => this.queue_type = queue_type(setting, mistakes),
                "queue_length_max" => {
                    this.queue_length_max = setting.integer(1..=u32::MAX, mistakes);
                }
                "bundles" => this.bundles = setting.boolean(mistakes),
                "partitions" => {
                    this.partitions = setting.integer(1..=partitions::MAX, mistakes);
                }
                _ => this.krate = setting.crate_path(mistakes),
            }
        }
        let bundles = settings.iter().find(|setting| setting.name() == "bundles");
        if let Some(setting) = bundles
            && this.partitions.is_some()
            && this.bundles == Some(true)
        {
            mistakes.push(setting.value(), partitions::NO_BUNDLES);
        }
        let prefetch = settings.iter().find(|setting| setting.name() == "prefetch");
        if let Some(setting) = prefetch {
            this.check_prefetch(setting, mistakes);
        }
        this
    }

    /// Serving refuses the same, but only once the program runs.
    fn check_prefetch(&self, setting: &Setting, mistakes: &mut Mistakes) {
        let concurrency = self.concurrency.unwrap_or(CONCURRENCY);
        if self.prefetch.is_some_and(|prefetch| prefetch < concurrency) {
            let message = format!(
                "`prefetch` is at least `concurrency`, here {concurrency}: fewer deliveries can't keep its handlers busy"
            );
            mistakes.push(setting.value(), message);
        }
    }
}

fn queue_type(setting: &Setting, mistakes: &mut Mistakes) -> QueueType {
    let allowed = "`queue_type` is \"classic\" or \"quorum\"";
    let read = |text: &str| match text {
        "classic" => Ok(QueueType::Classic),
        "quorum" => Ok(QueueType::Quorum),
        _ => Err(allowed.to_owned()),
    };
    setting.text(allowed, read, mistakes).unwrap_or_default()
}

/// The options of a method, in `#[query(..)]`, `#[stream(..)]` or `#[command(..)]`.
#[derive(Default)]
pub(crate) struct MethodOptions {
    pub(crate) kind: Kind,
    pub(crate) timeout: Option<Millis>,
    pub(crate) own_record: bool,
    pub(crate) job: Option<Millis>,
    /// A query whose answer is a stream of items.
    pub(crate) stream: bool,
    pub(crate) retry: Option<Retry>,
    pub(crate) cache: CacheOptions,
}

/// An option that stands alone.
const OWN_RECORD: &str = "own_record";

impl MethodOptions {
    /// Reads the marks on `method`, at most one of which makes sense.
    pub(crate) fn read(method: &ast::Method, mistakes: &mut Mistakes) -> Self {
        let mut marks = method.attrs.iter().filter(|mark| ast::is_mark(mark));
        let Some(mark) = marks.next() else {
            return Self::default();
        };
        for other in marks {
            mistakes.push(
                other,
                if other.path().get_ident() == mark.path().get_ident() {
                    "the method is marked twice"
                } else {
                    "a method is a query, which may be repeated, a stream, which is a query of many items, or a command, which may not; one of them"
                },
            );
        }
        let stream = mark.path().is_ident("stream");
        let kind = if stream || mark.path().is_ident("query") {
            Kind::Query
        } else {
            Kind::Command
        };
        let mut this = Self {
            kind,
            stream,
            ..Self::default()
        };
        let (words, settings): (Vec<_>, Vec<_>) = settings_of(mark, mistakes)
            .into_iter()
            .partition(|part| part.to_string() == OWN_RECORD);
        for word in words {
            if kind == Kind::Query {
                mistakes.push(word, "`own_record` is for commands: a query has no record");
            } else if this.own_record {
                mistakes.push(word, "`own_record` is given twice");
            } else {
                this.own_record = true;
            }
        }
        let (retries, settings): (Vec<_>, Vec<_>) = settings.into_iter().partition(is_retry);
        for retry in retries {
            if kind == Kind::Query {
                mistakes.push(
                    retry,
                    "`retry` is for commands: a query is asked again by its caller",
                );
            } else if this.retry.is_some() {
                mistakes.push(retry, "`retry` is given twice");
            } else {
                this.retry = Some(Retry::read(retry, mistakes));
            }
        }
        let (lists, settings): (Vec<_>, Vec<_>) = settings.into_iter().partition(is_list);
        for list in lists {
            this.cache.read_list(list, mistakes);
        }
        for setting in Setting::read_all(settings, &["timeout", "job", "cache"], mistakes) {
            match setting.name().as_str() {
                "timeout" => this.timeout = setting.duration(mistakes),
                "cache" => this.cache.read_ttl(&setting, mistakes),
                _ => this.job = this.read_job(&setting, mistakes),
            }
        }
        this
    }

    /// The time of a job, if the method may be one.
    fn read_job(&self, setting: &Setting, mistakes: &mut Mistakes) -> Option<Millis> {
        if self.kind == Kind::Query {
            let message = "`job` is for commands: a query that takes long is run again when its worker dies, and nothing is known of it";
            mistakes.push(setting.value(), message);
        }
        if self.own_record {
            let message = "a job has a record in the reply store, by which it is looked after: leave `own_record` or `job`";
            mistakes.push(setting.value(), message);
        }
        if self.retry.is_some() {
            let message = "a job waits for what passes by itself, and is begun anew only when its worker dies: leave `retry` or `job`";
            mistakes.push(setting.value(), message);
        }
        setting.text(
            "`job` is a duration in quotes, such as \"4h\"",
            Millis::of_job,
            mistakes,
        )
    }
}

fn settings_of(mark: &Attribute, mistakes: &mut Mistakes) -> Vec<TokenStream> {
    match &mark.meta {
        Meta::Path(_) => Vec::new(),
        Meta::List(list) => options::split(list.tokens.clone()),
        Meta::NameValue(_) => {
            mistakes.push(mark, "options stand in brackets: `(timeout = \"500ms\")`");
            Vec::new()
        }
    }
}

/// The options in `#[event(..)]`.
pub(crate) struct EventOptions {
    pub(crate) routing_key: String,
    pub(crate) exchange: String,
    pub(crate) krate: CratePath,
}

impl EventOptions {
    /// Reads the attribute. What is missing or wrong keeps its default and is noted.
    pub(crate) fn read(tokens: TokenStream, mistakes: &mut Mistakes) -> Self {
        let mut parts = options::split(tokens).into_iter();
        let mut this = Self {
            routing_key: options::leading_name(
                parts.next(),
                "the routing key comes first: `#[event(\"transaction.completed\")]`",
                names::check_routing_key,
                mistakes,
            ),
            exchange: names::EXCHANGE.to_owned(),
            krate: CratePath::default(),
        };
        for setting in Setting::read_all(parts, &["exchange", "crate"], mistakes) {
            if setting.name() == "exchange" {
                let read = |name: &str| names::check_entity(name).map(|()| name.to_owned());
                let allowed = "`exchange` is a name in quotes, such as \"banking_events\"";
                this.exchange = setting.text(allowed, read, mistakes).unwrap_or_default();
            } else {
                this.krate = setting.crate_path(mistakes);
            }
        }
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_runtime() {
        assert_eq!(PREFETCH_MAX, replybus::limits::PREFETCH_MAX);
        assert_eq!(CONCURRENCY, replybus::limits::CONCURRENCY);
    }
}
