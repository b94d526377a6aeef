//! What can be asked for.

use crate::{
    bench::BenchArgs,
    call::{CallArgs, TicketArgs},
    check::CheckArgs,
    contracts::ContractsArgs,
    control::{DrainArgs, PingArgs, StatsArgs},
    events::{EmitArgs, ListenArgs},
    explain::ExplainArgs,
    init::InitArgs,
    jobs::JobsArgs,
    letters::LettersArgs,
    manual::{CompletionsArgs, ManArgs},
    output::OutputArgs,
    rights::RightsArgs,
    schedule::ScheduleArgs,
    services::ServicesArgs,
    settings::ServerArgs,
    top::TopArgs,
    watch::WatchArgs,
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
    Services(ServicesArgs),
    Call(CallArgs),
    Ticket(TicketArgs),
    Emit(EmitArgs),
    Listen(ListenArgs),
    Dlq(LettersArgs),
    Schedule(ScheduleArgs),
    Jobs(JobsArgs),
    Ping(PingArgs),
    Stats(StatsArgs),
    Drain(DrainArgs),
    Explain(ExplainArgs),
    Check(CheckArgs),
    Rights(RightsArgs),
    Contracts(ContractsArgs),
    Init(InitArgs),
    Bench(BenchArgs),
    Top(TopArgs),
    Watch(WatchArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}
