//! The spans of a bus, by OpenTelemetry's conventions for messaging: what is sent and what is
//! processed, and within the latter what is asked of the store and of the broker.
//!
//! A name is that of the operation and of the destination. What a caller may choose freely, such as
//! the name of a method that there is not, is in none of them.

use super::{Carried, Span, SpanKind, tracer};
use crate::{
    call_id::CallId,
    client::{CallRequest, CallResponse, Verb},
    context::{Context, TraceContext},
    error::CallFailure,
    message::{Message, Text},
    reply::{Claim, ReplyTarget},
    server::Request,
    wire::ReplyFrame,
    work::{Answer, Envelope},
};

/// What all of them are spans of. A bus in one process says so as well: it stands for the broker.
const SYSTEM: &str = "rabbitmq";

/// A span about a message: what is done with it, of which type that is, and where it goes or comes
/// from.
fn about(span: &mut Span, operation: &'static str, kind: &'static str, destination: Text) {
    span.set("messaging.system", SYSTEM);
    span.set("messaging.operation.name", operation);
    span.set("messaging.operation.type", kind);
    span.set("messaging.destination.name", destination);
}

fn name(operation: &str, destination: &str) -> Text {
    Text::shown(format_args!("{operation} {destination}"))
}

/// The span of what is sent, which is the one that its headers name.
fn sending(carried: &Carried, name: impl FnOnce() -> Text) -> Span {
    let Some(tracer) = tracer() else {
        return Span::none();
    };
    match carried.place().filter(|(trace, _)| trace.is_sampled()) {
        Some((trace, parent)) => Span::of(tracer, trace.clone(), parent, SpanKind::Producer, name),
        None => Span::none(),
    }
}

/// The span of a call, from when it is made until its caller has what it waits for.
pub(crate) fn calling(request: &CallRequest) -> Span {
    let operation = match request.verb() {
        Verb::Call => "call",
        Verb::Send => "send",
        Verb::Submit => "submit",
    };
    let queue = &request.queue;
    let mut span = sending(&request.carried, || name(operation, queue));
    if span.is_recorded() {
        about(&mut span, operation, "send", queue.clone());
        let id = request.id().to_text();
        if request.verb() != Verb::Call {
            span.set("messaging.message.id", id.clone());
        }
        span.set("messaging.message.conversation_id", id);
        span.set("messaging.message.body.size", request.body().len());
        span.set("rpc.service", request.service());
        span.set("rpc.method", request.method());
    }
    span
}

/// Notes what came of a call. An error of its handler's own is an answer.
pub(crate) fn answered(span: &mut Span, outcome: &Result<CallResponse, CallFailure>) {
    if !span.is_recorded() {
        return;
    }
    let outcome = match outcome {
        Ok(response) => match response.reply() {
            Some((_, ReplyFrame::Handler(_))) => "handler",
            Some(_) => "ok",
            None => "accepted",
        },
        Err(failure) => {
            let kind = failure.kind().as_str();
            span.fail(Text::from_static(kind));
            kind
        }
    };
    span.set("replybus.outcome", outcome);
}

/// The span of an event, until the broker has it.
pub(crate) fn emitting(
    carried: &Carried,
    id: CallId,
    exchange: &Text,
    event: &Text,
    body: usize,
) -> Span {
    let to = || name("send", event);
    let mut span = sending(carried, to);
    if span.is_recorded() {
        let destination = Text::shown(format_args!("{exchange}:{event}"));
        about(&mut span, "send", "send", destination);
        span.set("messaging.rabbitmq.destination.routing_key", event.clone());
        span.set("messaging.message.id", id.to_text());
        span.set("messaging.message.body.size", body);
    }
    span
}

/// The span of a message that is processed. Without headers that name a trace it begins here.
fn consuming(message: &Message, trace: &TraceContext, process: impl FnOnce() -> Text) -> Span {
    let Some(tracer) = tracer() else {
        return Span::none();
    };
    let parent = TraceContext::is_decided(&message.properties).then_some(trace);
    let is_sampled = tracer.samples(trace.trace_id(), parent);
    if !is_sampled && parent.is_some_and(|parent| !parent.is_sampled()) {
        return Span::none();
    }
    let own = trace.child(CallId::new()).sampled(is_sampled);
    let parent = parent.map(TraceContext::span_id);
    let span = Span::of(tracer, own, parent, SpanKind::Consumer, process);
    match parent {
        Some(_) => span.of_remote(),
        None => span,
    }
}

/// The span of a request, until its delivery is settled. Its handler's calls are part of it. Of one
/// that is not run there is no `request`.
pub(crate) fn processing(
    message: &Message,
    envelope: &Envelope,
    queue: &str,
    request: Option<&mut Request>,
) -> Span {
    if tracer().is_none() {
        return Span::none();
    }
    let read;
    let trace = match request.as_ref().and_then(|request| request.context.trace()) {
        Some(trace) => trace,
        None => {
            read = TraceContext::of(&message.properties, envelope.id);
            &read
        }
    };
    // By the default exchange it is the queue's name on the broker.
    let queue = match message.exchange.is_empty() {
        true => message.routing_key.clone(),
        false => Text::from(queue),
    };
    let mut span = consuming(message, trace, || name("process", &queue));
    if span.is_recorded() {
        about(&mut span, "process", "process", queue);
        span.set("messaging.message.conversation_id", envelope.id.to_text());
        span.set("messaging.message.body.size", message.body.len());
    }
    if let Some(request) = request {
        span.set("rpc.service", request.service());
        span.set("rpc.method", request.method());
        again(&mut span, &request.context);
        if let Some(trace) = span.trace() {
            request.context.set_trace(trace.clone());
        }
    }
    span
}

/// The same of an event: a group handles it in `context`, which is put into the span.
pub(crate) fn handling(
    message: &Message,
    group: &str,
    event: &'static str,
    context: &mut Context,
) -> Span {
    let Some(trace) = context.trace().filter(|_| tracer().is_some()) else {
        return Span::none();
    };
    let mut span = consuming(message, trace, || name("process", group));
    if span.is_recorded() {
        // One that is put back, or aside, comes by the group's own name.
        let destination = match &*message.exchange {
            "" => Text::from(group),
            exchange => Text::shown(format_args!("{exchange}:{event}:{group}")),
        };
        about(&mut span, "process", "process", destination);
        span.set("messaging.rabbitmq.destination.routing_key", event);
        span.set("messaging.consumer.group.name", Text::from(group));
        if let Some(id) = context.call_id() {
            span.set("messaging.message.id", id.to_text());
        }
        span.set("messaging.message.body.size", message.body.len());
        again(&mut span, context);
    }
    if let Some(trace) = span.trace() {
        context.set_trace(trace.clone());
    }
    span
}

/// Says of which run a span is, if it is not the first.
fn again(span: &mut Span, context: &Context) {
    if context.redelivered() {
        span.set("replybus.redelivered", true);
    }
    if context.attempt() > 1 {
        span.set("replybus.attempt", context.attempt());
    }
}

/// Notes what a message came to.
pub(crate) fn concluded(span: &mut Span, answer: &Answer) {
    if let Some(fault) = answer.as_fault() {
        span.fail(Text::from_static(fault.code.as_str()));
    }
    span.set("replybus.outcome", answer.label());
}

/// The span of a claim that is asked for, within that of its message.
pub(crate) fn claiming(context: &Context) -> Span {
    match context.trace() {
        Some(trace) => Span::child(Some(trace), SpanKind::Internal, "claim"),
        None => Span::none(),
    }
}

/// The span of a reply and a record that are stored, within that of their message.
pub(crate) fn storing(of: &Span, target: &ReplyTarget, record: Option<&Claim>) -> Span {
    let Some(trace) = of.trace() else {
        return Span::none();
    };
    let mut span = Span::child(Some(trace), SpanKind::Internal, "store reply");
    let target = match target {
        ReplyTarget::Inbox(_) => "inbox",
        ReplyTarget::Key => "key",
        ReplyTarget::None => "none",
    };
    span.set("replybus.reply.target", target);
    span.set("replybus.reply.records", record.is_some());
    span
}

/// The span of a message that is kept as a dead letter, within that of the message.
pub(crate) fn keeping(letters: &str, reason: &'static str) -> Span {
    // Outside of a span, as of a message that can't be read, it would be a trace of its own.
    let context = Context::current();
    let Some(trace) = context.trace().filter(|_| tracer().is_some()) else {
        return Span::none();
    };
    let letters = Text::from(letters);
    let mut span = Span::child(Some(trace), SpanKind::Producer, name("send", &letters));
    about(&mut span, "send", "send", letters);
    span.set("replybus.dead_letter.reason", reason);
    span
}
