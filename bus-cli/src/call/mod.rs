//! A call by its names, with JSON in and out.

mod args;
mod request;
mod ticket;

pub(crate) use args::{CallArgs, When, arguments, json, when};
pub(crate) use request::{Wanted, answered, client, failed};
pub(crate) use ticket::{TicketArgs, cancelled, run as run_ticket};

use crate::{bus::with_bus, failure::Failure, output::Output, settings::ServerArgs};
use args::Way;
use replybus::{Call, Progress, client::ServiceClient};
use serde_json::Value;
use std::io::Write as _;

/// The result of every method, read as what it says.
pub(crate) type Answer = Result<Value, Value>;

pub(crate) async fn run(
    servers: &ServerArgs,
    args: CallArgs,
    output: &Output,
) -> Result<(), Failure> {
    args.check()?;
    let body = arguments(&args.arguments)?;
    let at = when(args.after, args.at)?;
    with_bus(servers, async |bus| {
        let (client, position) = client(bus, &args.queue, &Wanted::of(&args))?;
        if args.way() == Way::Stream {
            return stream(&client, position, &args, &body, output).await;
        }
        let call: Call<Answer> = client.call(position, &body);
        hand_over(options(call, &args), &args, at, output).await
    })
    .await
}

/// The options of the command line, on the call.
fn options(mut call: Call<Answer>, args: &CallArgs) -> Call<Answer> {
    if let Some(timeout) = args.timeout {
        call = call.timeout(timeout);
    }
    if let Some(key) = &args.key {
        call = call.idempotency_key(key);
    }
    for (name, value) in &args.metadata {
        call = call.metadata(name, value);
    }
    if args.wait_for_service {
        call = call.wait_for_service();
    }
    call
}

async fn hand_over(
    call: Call<Answer>,
    args: &CallArgs,
    at: Option<When>,
    output: &Output,
) -> Result<(), Failure> {
    let sent = |id: replybus::CallId| output.json(&serde_json::json!({ "call_id": id }));
    match (args.way(), at) {
        (Way::Send, None) => sent(failed(call.send().await, output)?),
        (Way::Send, Some(When::After(delay))) => {
            sent(failed(call.send_after(delay).await, output)?)
        }
        (Way::Send, Some(When::At(at))) => sent(failed(call.send_at(at).await, output)?),
        (Way::Submit, None) => output.json(&failed(call.submit().await, output)?),
        (Way::Submit, Some(When::After(delay))) => {
            output.json(&failed(call.submit_after(delay).await, output)?)
        }
        (Way::Submit, Some(When::At(at))) => {
            output.json(&failed(call.submit_at(at).await, output)?)
        }
        (Way::Watch, _) => answered(call.on_progress(say_progress).await, output),
        (Way::Await | Way::Stream, _) => answered(call.await, output),
    }
}

async fn stream(
    client: &ServiceClient,
    position: usize,
    args: &CallArgs,
    body: &Value,
    output: &Output,
) -> Result<(), Failure> {
    use replybus::stream::Items;
    let mut call = client.stream::<_, Result<Items<Value, Value>, Value>>(position, body);
    if let Some(timeout) = args.timeout {
        call = call.timeout(timeout);
    }
    for (name, value) in &args.metadata {
        call = call.metadata(name, value);
    }
    let mut items = match call.await {
        Ok(items) => items,
        Err(error) => return answered(Err(error), output),
    };
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => output.json_line(&item)?,
            Err(error) => return answered(Err(error), output),
        }
    }
    Ok(())
}

/// On stderr: the answer is what stdout is for.
pub(crate) fn say_progress(progress: Progress) {
    // Where nobody reads there is nobody to tell.
    let _ = writeln!(
        std::io::stderr(),
        "{}",
        crate::output::shown(&progress.to_string())
    );
}
