//! Whether a system is as it should be, thing by thing.

mod redis;
mod services;

use crate::{
    bus::{amqp, builder, redis},
    failure::{Failure, chain},
    output::{Output, shown},
    settings::{ServerArgs, Servers},
};
use clap::Args;
use replybus::{
    Bus, event::EVENTS_EXCHANGE, reply::memory::MemoryReplies, transport::memory::MemoryBroker,
};
use serde_json::json;
use std::time::Duration;

/// The time in which each server must let go.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Look whether servers, rights, clocks and queues are as they should be
///
/// The servers, the rights that this user has there, their settings and clocks, and every queue that
/// is served. Each line says ok, or what to do. Exit code 1 if anything is wrong; what is only worth
/// a look is a note.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// Worth a look.
    Note,
    /// Something does not work, or will not.
    Wrong,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Wrong => "WRONG",
        }
    }
}

/// All that was looked at.
#[derive(Debug, Default)]
struct Findings(Vec<(State, String, String)>);

impl Findings {
    fn say(&mut self, state: State, what: impl Into<String>, text: impl AsRef<str>) {
        self.0.push((state, what.into(), shown(text.as_ref())));
    }

    fn ok(&mut self, what: impl Into<String>, text: impl AsRef<str>) {
        self.say(State::Ok, what, text);
    }

    fn note(&mut self, what: impl Into<String>, text: impl AsRef<str>) {
        self.say(State::Note, what, text);
    }

    fn wrong(&mut self, what: impl Into<String>, text: impl AsRef<str>) {
        self.say(State::Wrong, what, text);
    }
}

pub(crate) async fn run(
    servers: &ServerArgs,
    _: CheckArgs,
    output: &Output,
) -> Result<(), Failure> {
    let servers = servers.find()?;
    let mut findings = Findings::default();
    let looking = async {
        let (broker, store) = tokio::join!(broker(&servers), store(&servers));
        let (is_broker_up, is_store_up) = (broker.1, store.1);
        findings.0.extend(broker.0.0.into_iter().chain(store.0.0));
        redis::look(&servers, &mut findings).await;
        if is_broker_up && is_store_up {
            match builder(&servers)
                .connect(amqp(&servers), redis(&servers))
                .await
            {
                Ok(bus) => {
                    services::look(&bus, &mut findings).await;
                    bus.close(CLOSE_WITHIN).await;
                }
                Err(error) => findings.wrong("services", chain(&error)),
            }
        }
    };
    tokio::select! {
        () = looking => {}
        () = crate::bus::interrupted() => return Err(Failure::Interrupted),
    }
    report(&findings, output)
}

fn report(findings: &Findings, output: &Output) -> Result<(), Failure> {
    if output.json {
        let all: Vec<_> = findings
            .0
            .iter()
            .map(|(state, what, text)| {
                json!({ "state": state.word().to_lowercase(), "what": what, "text": text })
            })
            .collect();
        output.json(&all)?;
    } else {
        let width = findings
            .0
            .iter()
            .map(|(_, what, _)| what.chars().count())
            .max();
        let width = width.unwrap_or(0);
        for (state, what, text) in &findings.0 {
            let word = format!("{:<5}", state.word());
            let word = output.paint(state.color(), &word);
            output.line(&format!("{word}  {what:<width$}  {text}"))?;
        }
    }
    let is_wrong = findings.0.iter().any(|(state, ..)| *state == State::Wrong);
    if is_wrong {
        Err(Failure::Found)
    } else {
        Ok(())
    }
}

impl State {
    fn color(self) -> crate::output::Color {
        use crate::output::Color;
        match self {
            Self::Ok => Color::Green,
            Self::Note => Color::Yellow,
            Self::Wrong => Color::Red,
        }
    }
}

/// RabbitMQ: that it can be reached, and that its user may do what events and control lines take.
async fn broker(servers: &Servers) -> (Findings, bool) {
    let mut findings = Findings::default();
    let what = "RabbitMQ";
    let bus = match builder(servers)
        .connect(amqp(servers), MemoryReplies::new())
        .await
    {
        Ok(bus) => bus,
        Err(error) => {
            findings.wrong(what, format!("{}: {}", servers.amqp, chain(&error)));
            return (findings, false);
        }
    };
    findings.ok(what, format!("reached at {}", servers.amqp));
    // Declares a queue, binds and consumes it, and removes it: what a service does.
    match bus.listen(EVENTS_EXCHANGE, "replybus.check").await {
        Ok(listener) => {
            listener.end().await;
            findings.ok(
                "RabbitMQ rights",
                "queues can be declared, bound, consumed and removed",
            );
        }
        Err(error) => findings.wrong(
            "RabbitMQ rights",
            format!(
                "{}; it is allowed by rabbitmqctl set_permissions -p VHOST USER \
                 '{ns}.*' '{ns}.*|amq\\.default' '{ns}.*'",
                chain(&error),
                ns = match &*servers.namespace {
                    "" => String::new(),
                    namespace => format!("^{}\\.", namespace.replace('.', "\\.")),
                }
            ),
        ),
    }
    bus.close(CLOSE_WITHIN).await;
    (findings, true)
}

/// Redis: that it can be reached, and all that the store will ask of it, which opening it tries.
async fn store(servers: &Servers) -> (Findings, bool) {
    let mut findings = Findings::default();
    let connecting = builder(servers).connect(MemoryBroker::new(), redis(servers));
    let bus: Bus = match connecting.await {
        Ok(bus) => bus,
        Err(error) => {
            findings.wrong("Redis", format!("{}: {}", servers.redis, chain(&error)));
            return (findings, false);
        }
    };
    findings.ok(
        "Redis",
        format!(
            "reached at {}, with the rights that calls take",
            servers.redis
        ),
    );
    match bus.services().await {
        Ok(_) => findings.ok("Redis rights", "records of instances can be read"),
        Err(error) => findings.note("Redis rights", chain(&error)),
    }
    bus.close(CLOSE_WITHIN).await;
    (findings, true)
}
