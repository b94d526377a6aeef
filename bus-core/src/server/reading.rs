//! From a message to the request in it, or to the fault of one that is not to be run.

use super::{
    delivery::RequestProcessor, queue_age::RequestTime, request::Request, service::Payload,
};
use crate::{
    contract::{MethodContract, MethodKind, Priority},
    error::{Fault, FaultCode},
    message::Message,
    reply::ReplyTarget,
    retry::Retries,
    stream::{Asked, Invitation, Opening},
    work::{Begun, Envelope, Run, cancelled},
};
use std::sync::Arc;
use tokio::time::Instant;

impl RequestProcessor {
    /// The request in a message, if it may be run.
    pub(super) fn request(
        &self,
        envelope: &mut Envelope,
        message: &Message,
        seen_before: bool,
    ) -> Result<Request, Fault> {
        if let Some(fault) = envelope.take_fault() {
            return Err(fault);
        }
        self.signatures.check(&self.queue, message, envelope)?;
        let name = message.properties.kind.as_deref().unwrap_or_default();
        let found = self.contract.method(name);
        // A command that may have been started is not called expired before its claim is asked. Nor is
        // one whose reply is looked for later: this worker may have stood still for so long that the
        // broker gave the message to another, who runs it.
        let is_claimed = found.is_some_and(|(_, method)| method.is_claimed());
        let asks = seen_before && is_claimed;
        let asks_late = asks || (is_claimed && envelope.target == ReplyTarget::Key);
        if !asks_late && envelope.is_late() {
            return Err(envelope.lateness());
        }
        if !asks_late && self.control.calls().is_cancelled(envelope.id) {
            return Err(cancelled());
        }
        let Some((position, method)) = found else {
            let known: Vec<&str> = self.contract.methods.iter().map(|m| m.name).collect();
            let name: String = name.chars().take(64).collect();
            let known = known.join(", ");
            return Err(Fault::new(
                FaultCode::UnknownMethod,
                format!(
                    "queue {:?} is served by {}, which has no method {name:?}, it has: {known}",
                    self.queue, self.contract.name
                ),
            ));
        };
        let priority = Priority::from_wire(message.properties.priority);
        if !asks
            && envelope.awaited()
            && let Some(time) = RequestTime::of(message, envelope)
            && let Some(fault) = self.queue_age.take(position, time, priority)
        {
            return Err(fault);
        }
        let stream = match (method.stream, method.feed) {
            (false, false) => None,
            _ => Some(Arc::new(self.asked(method, envelope, message)?)),
        };
        // Nobody sends bundles who waits elsewhere.
        let tells = self.takes_bundles && matches!(envelope.target, ReplyTarget::Inbox(_));
        // Nothing but the end of the service ends the first run of a query before its time.
        let is_plain = method.kind == MethodKind::Query && !seen_before;
        let retries = match method.retry {
            Some(policy) if method.kind == MethodKind::Command && method.job.is_none() => {
                let until = envelope.no_run_after(message);
                Some(Arc::new(Retries::of(message, policy, until)))
            }
            _ => None,
        };
        let context = envelope
            .context(message, seen_before)?
            .serving(self.contract.name, method.name)
            .on_queue(&self.queue, self.contract.queue)
            .cancelled_by(if is_plain {
                self.cancel.clone()
            } else {
                self.cancel.child_token()
            })
            .build();
        let context = match &retries {
            Some(retries) => context.with_attempt(retries.first()),
            None => context,
        };
        Ok(Request {
            contract: self.contract,
            position,
            method,
            context,
            payload: Payload {
                content_type: envelope.content_type,
                body: message.body.clone(),
                begun: tells.then(Instant::now),
                stream,
                fingerprint: self.fingerprints.get(position).copied().flatten(),
            },
            deadline_named: envelope.deadline_named,
            start_by: envelope.start_by,
            is_signed: envelope.is_signed,
            run: if is_plain {
                Run::default()
            } else {
                Run::noted()
            },
            begun: Begun::default(),
            retries,
        })
    }

    /// What a request says of the stream that its method has.
    fn asked(
        &self,
        method: &MethodContract,
        envelope: &Envelope,
        message: &Message,
    ) -> Result<Asked, Fault> {
        let (id, target) = (envelope.id, &envelope.target);
        let properties = &message.properties;
        let signatures = self.signatures.of_stream(&self.queue, message, id);
        if method.feed {
            let is_claimed = method.is_claimed();
            let invited = Invitation::read(
                &self.bus,
                id,
                target,
                properties,
                is_claimed,
                signatures,
                &self.cancel,
            );
            return invited.map(Asked::Argument);
        }
        let (control, stop) = (&self.control, &self.cancel);
        let opening = Opening::read(control, id, target, properties, stop, signatures);
        opening.map(Asked::Answer)
    }
}
