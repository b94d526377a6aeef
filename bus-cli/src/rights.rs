//! The rights that a program needs, as RabbitMQ and Redis are told them.

use crate::{failure::Failure, output::Output, settings::ServerArgs};
use clap::Args;
use replybus::{event::EVENTS_EXCHANGE, transport::amqp::AmqpRights};
use replybus_redis::{RedisReplies, RedisRights};
use serde_json::{Value, json};
use std::num::NonZeroU16;

/// What no pattern of names can keep apart.
const SHARED: [&str; 4] = [
    "RabbitMQ: who may write to amq.default may publish to every queue of the virtual host",
    "RabbitMQ: who may write to replybus.control may cancel, ask and watch at every queue of the namespace, and who serves may read what is said to others",
    "Redis: inboxes and replies to submitted calls are known by random ids, and by those to all programs of the namespace",
    "Redis: who calls a queue may write to the records of its commands, where they are cancelled",
];

/// Print the least rights that a program needs
///
/// What RabbitMQ and Redis are to be told of the user of a program, by what the program does: the
/// permissions as a command, and with --json as definitions to import; the access list without its
/// password, which is yours to set. Below them is what patterns of names can't keep apart; for that
/// give programs a virtual host, a database or a namespace of their own. Nothing is connected to.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replybus rights --user account --serve account.requests --emit bank.events\n  \
    replybus rights --user shop --call account.requests --subscribe shop.bonus@bank.events --delays\n  \
    replybus rights --call account.requests --json | jq .rabbitmq > definitions.json")]
pub(crate) struct RightsArgs {
    /// A queue that it serves, and its partitions if it has such
    #[arg(long, value_name = "QUEUE[:PARTITIONS]", value_parser = parse_served)]
    serve: Vec<Served>,

    /// A queue that it calls
    #[arg(long, value_name = "QUEUE")]
    call: Vec<String>,

    /// An exchange that it emits events to
    #[arg(long, value_name = "EXCHANGE", num_args = 0..=1, default_missing_value = EVENTS_EXCHANGE)]
    emit: Vec<String>,

    /// A group in which it hears events
    #[arg(long, value_name = "GROUP[@EXCHANGE]")]
    subscribe: Vec<String>,

    /// It delays: calls or events for later, jobs, schedules, commands that are put off
    #[arg(long)]
    delays: bool,

    /// It keeps a flight record
    #[arg(long)]
    flight_record: bool,

    /// The name of its user, on both servers
    #[arg(long, value_name = "NAME", default_value = "USER")]
    user: String,

    /// The virtual host
    #[arg(long, value_name = "NAME", default_value = "/")]
    vhost: String,
}

/// A queue, and its partitions.
#[derive(Debug, Clone)]
struct Served(String, Option<NonZeroU16>);

fn parse_served(text: &str) -> Result<Served, String> {
    let Some((queue, partitions)) = text.split_once(':') else {
        return Ok(Served(text.to_owned(), None));
    };
    let partitions = partitions.parse();
    let partitions = partitions.map_err(|_| "expected a number of partitions after ':'")?;
    Ok(Served(queue.to_owned(), Some(partitions)))
}

pub(crate) fn run(servers: &ServerArgs, args: &RightsArgs, output: &Output) -> Result<(), Failure> {
    for (setting, name) in [("--user", &args.user), ("--vhost", &args.vhost)] {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@/%".contains(c);
        if name.is_empty() || !name.chars().all(is_plain) {
            let text = format!("{setting}: letters, digits, '-', '_', '.', '@', '/' and '%'");
            return Err(Failure::Usage(text));
        }
    }
    let does_nothing = args.serve.is_empty()
        && args.call.is_empty()
        && args.emit.is_empty()
        && args.subscribe.is_empty();
    if does_nothing {
        let text = "say what it does: --serve, --call, --emit or --subscribe";
        return Err(Failure::Usage(text.to_owned()));
    }
    let servers = servers.find()?;
    let mut replies = RedisReplies::new(servers.redis.expose());
    if let Some(prefix) = &servers.key_prefix {
        replies = replies.key_prefix(prefix);
    }
    let refused = |error| Failure::because("no rights", error);
    let broker = on_broker(args, &servers.namespace).map_err(refused)?;
    let store = replies.rights(&servers.namespace).map_err(refused)?;
    let store = on_store(args, store);
    if output.json {
        return output.json(&as_json(args, &broker, &store));
    }
    let RightsArgs { user, vhost, .. } = args;
    output.line(&format!(
        "rabbitmqctl set_permissions -p '{vhost}' '{user}' '{}' '{}' '{}'",
        broker.configure(),
        broker.write(),
        broker.read()
    ))?;
    output.line("")?;
    output.line(&setuser(args, &store))?;
    output.line("")?;
    for shared in SHARED {
        output.line(&format!("# {shared}"))?;
    }
    Ok(())
}

fn on_broker(args: &RightsArgs, namespace: &str) -> Result<AmqpRights, replybus::SetupError> {
    let mut rights = AmqpRights::new(namespace)?;
    for Served(queue, partitions) in &args.serve {
        rights = match partitions {
            Some(partitions) => rights.serve_partitions(queue, partitions.get())?,
            None => rights.serve(queue)?,
        };
    }
    for queue in &args.call {
        rights = rights.call(queue)?;
    }
    for exchange in &args.emit {
        rights = rights.emit(exchange)?;
    }
    for of in &args.subscribe {
        let (group, exchange) = group(of);
        rights = rights.subscribe(group, exchange)?;
    }
    Ok(match args.delays {
        true => rights.delay(),
        false => rights,
    })
}

/// The same names, which the broker's rights have looked at.
fn on_store(args: &RightsArgs, mut rights: RedisRights) -> RedisRights {
    for Served(queue, _) in &args.serve {
        rights = rights.serve(queue);
    }
    for queue in &args.call {
        rights = rights.call(queue);
    }
    for of in &args.subscribe {
        rights = rights.subscribe(group(of).0);
    }
    if args.delays {
        rights = rights.delay();
    }
    if args.flight_record {
        rights = rights.record_flights();
    }
    rights
}

fn group(text: &str) -> (&str, &str) {
    text.split_once('@').unwrap_or((text, EVENTS_EXCHANGE))
}

fn setuser(args: &RightsArgs, store: &RedisRights) -> String {
    // As rights are added to those that there are, old ones go first.
    format!(
        "ACL SETUSER {} reset on >PASSWORD {}",
        args.user,
        store.rules()
    )
}

fn as_json(args: &RightsArgs, broker: &AmqpRights, store: &RedisRights) -> Value {
    json!({
        "rabbitmq": {
            "permissions": [{
                "user": args.user,
                "vhost": args.vhost,
                "configure": broker.configure(),
                "write": broker.write(),
                "read": broker.read(),
            }],
        },
        "redis": {
            "user": args.user,
            "keys": store.keys().collect::<Vec<_>>(),
            "commands": store.commands(),
            "acl": setuser(args, store),
        },
        "not_separated": SHARED,
    })
}
