//! What can be asked for.

use crate::{
    bench::BenchArgs,
    call::{CallArgs, TicketArgs},
    check::CheckArgs,
    control::{DrainArgs, PingArgs, StatsArgs},
    events::{EmitArgs, ListenArgs},
    letters::LettersArgs,
    manual::{CompletionsArgs, ManArgs},
    output::OutputArgs,
    schedule::ScheduleArgs,
    services::ServicesArgs,
    settings::ServerArgs,
    top::TopArgs,
};
use clap::{Parser, Subcommand};

/// See and repair a running system of replybus services.
///
/// Servers are found by AMQP_URL, REDIS_URL and BUS_NAMESPACE, or by a profile; without any, on this
/// machine. Queues are named without the namespace.
#[derive(Debug, Parser)]
#[command(name = "replybus", version, max_term_width = 100)]
pub(crate) struct Program {
    #[command(flatten)]
    pub(crate) servers: ServerArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is served, and by whom
    Services(ServicesArgs),
    /// Call a method and print its answer
    Call(CallArgs),
    /// Wait for a call that was submitted, look at it, or cancel it
    Ticket(TicketArgs),
    /// Emit an event
    Emit(EmitArgs),
    /// Print events as they pass
    Listen(ListenArgs),
    /// List dead letters, put them back, or throw them away
    Dlq(LettersArgs),
    /// List what waits until it is due, and cancel it
    Schedule(ScheduleArgs),
    /// Ask the instances of a queue whether they are there
    Ping(PingArgs),
    /// Ask the instances of a queue what they have done
    Stats(StatsArgs),
    /// Have an instance, or all of a queue, take no more and end what they have
    Drain(DrainArgs),
    /// Look whether servers, rights, clocks and queues are as they should be
    Check(CheckArgs),
    /// Call a method again and again, and say how fast it answers
    Bench(BenchArgs),
    /// Show all services at work
    Top(TopArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print manual pages
    Man(ManArgs),
}
