//! The declarations of the way.
//!
//! All but the last of a batch are sent without waiting for an answer: there are a hundred, and the
//! broker's first refusal ends the channel, so the answer to the last one speaks for all.

use super::levels::{self, Destination, LEVELS, Way};
use crate::{
    limits::{DEAD_LETTERS_BYTES_MAX, DEAD_LETTERS_MAX},
    transport::amqp::{
        connect::{Failure, FailureKind, Live},
        topology,
    },
};
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::time::Instant;

/// Declares the levels and what is around them, from the end to the beginning: what comes in finds
/// its way.
pub(super) async fn declare_levels(
    live: &Live,
    way: Way<'_>,
    until: Instant,
) -> Result<(), Failure> {
    let declaring = Declaring::open(live, until).await?;
    let (due, lost) = (way.due(), way.lost());
    declaring.queue(&lost, kept_for_people()).await?;
    declaring
        .exchange(&lost, ExchangeKind::Fanout, None)
        .await?;
    declaring.bind_queue(&lost, &lost, "").await?;
    let topic = || ExchangeKind::Topic;
    declaring.exchange(&due, topic(), Some(&lost)).await?;
    for level in 0..LEVELS {
        let (name, below) = (way.level(level), way.below(level));
        let ttl = 1000_i64 << level;
        declaring
            .queue(&name, dead_lettered(ttl, &below, None))
            .await?;
        if level + 1 < LEVELS {
            // What leaves the level above comes here.
            declaring.exchange(&name, topic(), Some(&lost)).await?;
            let (waits, passes) = (levels::at(level, true), levels::at(level, false));
            declaring.bind_queue(&name, &name, &waits).await?;
            declaring.bind_exchange(&below, &name, &passes).await?;
        }
    }
    // No other exchange takes what this one can't route: its publisher is told.
    let (entry, fresh, first) = (way.entry(), way.fresh(), way.first());
    declaring.exchange(&first, topic(), None).await?;
    declaring
        .bind_exchange(&due, &first, &levels::at_none())
        .await?;
    for level in 0..LEVELS {
        let key = levels::first_at(level);
        declaring
            .bind_queue(&way.level(level), &first, &key)
            .await?;
    }
    declaring
        .exchange(&fresh, ExchangeKind::Headers, Some(&first))
        .await?;
    declaring.bind_deaths(&lost, &fresh).await?;
    declaring.exchange(&entry, topic(), None).await?;
    declaring.bind_exchange(&fresh, &entry, "#").await?;
    declaring.end(&entry).await
}

/// Declares the queue from which messages go to their destination when they are due; `false` if
/// there is no such destination.
pub(super) async fn declare_destination(
    live: &Live,
    way: Way<'_>,
    to: &Destination,
    until: Instant,
) -> Result<bool, Failure> {
    let exists = match to.exchange.is_empty() {
        true => is_queue(live, &to.routing_key, until).await?,
        false => topology::ensure_exchange(live, short(&to.exchange)?).await?,
    };
    if !exists {
        return Ok(false);
    }
    let declaring = Declaring::open(live, until).await?;
    let dead_letter_to = match to.exchange.is_empty() {
        true => String::new(),
        false => declaring.emitting(way, to).await?,
    };
    let name = way.due_queue(to);
    let arguments = dead_lettered(0, &dead_letter_to, Some(&to.routing_key));
    declaring.queue(&name, arguments).await?;
    let due = way.due();
    declaring.bind_queue(&name, &due, &levels::to(to)).await?;
    declaring.end(&due).await?;
    Ok(true)
}

/// `true` if there is a queue of that name.
async fn is_queue(live: &Live, queue: &str, until: Instant) -> Result<bool, Failure> {
    let channel = live.channel().await?;
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let asked = channel.queue_declare(short(queue)?, options, FieldTable::default());
    match live.answer_about_queue(queue, Some(until), asked).await {
        Ok(_) => {
            topology::close(live, &channel).await;
            Ok(true)
        }
        Err(failure) if failure.kind == FailureKind::Missing => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// A batch of declarations.
struct Declaring<'a> {
    live: &'a Live,
    channel: Channel,
    until: Instant,
}

impl<'a> Declaring<'a> {
    async fn open(live: &'a Live, until: Instant) -> Result<Self, Failure> {
        let channel = live.channel().await?;
        Ok(Self {
            live,
            channel,
            until,
        })
    }

    async fn queue(&self, name: &str, arguments: FieldTable) -> Result<(), Failure> {
        let options = QueueDeclareOptions {
            durable: true,
            nowait: true,
            ..QueueDeclareOptions::default()
        };
        let declared = self.channel.queue_declare(short(name)?, options, arguments);
        self.live.answer(declared).await?;
        Ok(())
    }

    /// An exchange, and where it sends what it has no binding for.
    async fn exchange(
        &self,
        name: &str,
        kind: ExchangeKind,
        otherwise: Option<&str>,
    ) -> Result<(), Failure> {
        let options = ExchangeDeclareOptions {
            durable: true,
            nowait: true,
            ..ExchangeDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        if let Some(otherwise) = otherwise {
            arguments.insert("alternate-exchange".into(), text(otherwise));
        }
        let name = short(name)?;
        let declared = self
            .channel
            .exchange_declare(name, kind, options, arguments);
        self.live.answer(declared).await
    }

    async fn bind_queue(&self, queue: &str, exchange: &str, key: &str) -> Result<(), Failure> {
        self.bind_queue_by(queue, exchange, key, FieldTable::default())
            .await
    }

    async fn bind_queue_by(
        &self,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: FieldTable,
    ) -> Result<(), Failure> {
        let options = QueueBindOptions { nowait: true };
        let (queue, exchange, key) = (short(queue)?, short(exchange)?, short(key)?);
        let bound = self
            .channel
            .queue_bind(queue, exchange, key, options, arguments);
        self.live.answer(bound).await
    }

    /// Keeps a message aside that has deaths behind it. RabbitMQ writes these, drops a message that
    /// comes by a queue again, and 3.10 takes its own word for granted: over a list with anything
    /// else in it all dead-lettering of the node ends.
    async fn bind_deaths(&self, queue: &str, exchange: &str) -> Result<(), Failure> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-match".into(), text("any-with-x"));
        // Whatever its value.
        arguments.insert("x-death".into(), AMQPValue::Void);
        self.bind_queue_by(queue, exchange, "", arguments).await
    }

    async fn bind_exchange(&self, to: &str, from: &str, key: &str) -> Result<(), Failure> {
        let options = ExchangeBindOptions { nowait: true };
        let (to, from, key) = (short(to)?, short(from)?, short(key)?);
        let arguments = FieldTable::default();
        let bound = self
            .channel
            .exchange_bind(to, from, key, options, arguments);
        self.live.answer(bound).await
    }

    /// The exchange that events leave by, each under its own key. A queue that forgets everything
    /// gets them as well: what reaches no queue would be offered again until it does, and an event
    /// that nobody subscribes to is to pass unheard.
    async fn emitting(&self, way: Way<'_>, to: &Destination) -> Result<String, Failure> {
        let (name, unheard) = (way.emitting(to), way.unheard());
        let mut forgets = FieldTable::default();
        forgets.insert("x-message-ttl".into(), AMQPValue::LongLongInt(0));
        self.queue(&unheard, forgets).await?;
        self.exchange(&name, ExchangeKind::Topic, None).await?;
        self.bind_queue(&unheard, &name, "#").await?;
        self.bind_exchange(&to.exchange, &name, "#").await?;
        Ok(name)
    }

    /// Waits until all of it is done, by a question after an exchange that is there then.
    async fn end(self, exchange: &str) -> Result<(), Failure> {
        let options = ExchangeDeclareOptions {
            passive: true,
            ..ExchangeDeclareOptions::default()
        };
        let (name, arguments) = (short(exchange)?, FieldTable::default());
        let channel = &self.channel;
        let asked = channel.exchange_declare(name, ExchangeKind::Topic, options, arguments);
        let answer = self
            .live
            .answer_about_queue(exchange, Some(self.until), asked);
        answer.await?;
        topology::close(self.live, channel).await;
        Ok(())
    }
}

/// A queue whose messages move on when they have been there for `ttl` milliseconds, each confirmed
/// by the next queue before it leaves this one. Only quorum queues do that.
fn dead_lettered(ttl: i64, exchange: &str, routing_key: Option<&str>) -> FieldTable {
    let mut arguments = FieldTable::default();
    let mut set = |name: &str, value| {
        arguments.insert(name.into(), value);
    };
    set("x-queue-type", text("quorum"));
    set("x-message-ttl", AMQPValue::LongLongInt(ttl));
    set("x-dead-letter-exchange", text(exchange));
    set("x-dead-letter-strategy", text("at-least-once"));
    // What the strategy asks for.
    set("x-overflow", text("reject-publish"));
    if let Some(routing_key) = routing_key {
        set("x-dead-letter-routing-key", text(routing_key));
    }
    arguments
}

/// The last place of what is routed nowhere. It never refuses, which would hold up what comes
/// behind: the oldest make room.
fn kept_for_people() -> FieldTable {
    let mut arguments = FieldTable::default();
    let bytes = i64::try_from(DEAD_LETTERS_BYTES_MAX).unwrap_or(i64::MAX);
    let mut set = |name: &str, value| {
        arguments.insert(name.into(), value);
    };
    set(
        "x-max-length",
        AMQPValue::LongLongInt(DEAD_LETTERS_MAX.into()),
    );
    set("x-max-length-bytes", AMQPValue::LongLongInt(bytes));
    arguments
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// A name, whose length was looked at before.
fn short(name: &str) -> Result<ShortString, Failure> {
    ShortString::try_new(name.to_owned()).map_err(|_| Failure::too_long(name))
}
