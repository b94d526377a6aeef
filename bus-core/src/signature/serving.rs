//! What one service signs, and whose requests it believes.

use super::{
    frames::{Believed, FrameSignatures, Stream},
    job,
    key::SigningKey,
    reply::{self, Answered, request_digest},
    request::{self, Times},
    ring::{KeyRing, Refusal},
    signatures::Signatures,
};
use crate::{
    call_id::CallId,
    contract::{ServiceContract, unix_time},
    error::{Fault, FaultCode, SetupError},
    limits::CLOCK_ALLOWANCE,
    message::Message,
    work::Envelope,
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The signatures of one service: its callers, anybody or those of a ring, and its own key.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServiceSignatures {
    namespace: Arc<str>,
    callers: Option<Arc<KeyRing>>,
    key: Option<SigningKey>,
    /// Those that are believed when they say that a job was started.
    instances: Arc<KeyRing>,
}

impl ServiceSignatures {
    pub(crate) fn only_signed(&mut self, ring: KeyRing) {
        self.callers = Some(Arc::new(ring));
    }

    pub(crate) fn sign(&mut self, key: SigningKey) {
        self.key = Some(key);
    }

    pub(crate) fn believe_instances(&mut self, ring: KeyRing) {
        self.instances = Arc::new(ring);
    }

    /// The same, served by a bus, whose key it has unless it has its own.
    pub(crate) fn of_bus(mut self, bus: &Signatures) -> Self {
        self.namespace = Arc::clone(&bus.namespace);
        self.key = self.key.or_else(|| bus.key.clone());
        if let (Some(_), Some(key)) = (&self.callers, &self.key) {
            let others = KeyRing::clone(&self.instances);
            // It has a name, and signs: so it is a key.
            if let Ok(all) = others.trust(key.name(), &key.public_key()) {
                self.instances = Arc::new(all);
            }
        }
        self
    }

    /// Refuses to serve what is not covered, or to nobody.
    pub(crate) fn check_service(&self, contract: &ServiceContract) -> Result<(), SetupError> {
        let Some(ring) = &self.callers else {
            return Ok(());
        };
        let refuse = |reason: String| Err(SetupError::setting("only_signed", reason));
        if ring.is_empty() {
            return refuse("the ring has no key, so that nobody could call".to_owned());
        }
        match contract.methods.iter().find(|method| method.job.is_some()) {
            Some(job) if self.key.is_none() => refuse(format!(
                "{}.{} is a job: its message outlives its caller's signature, and is signed by this \
                 service while it runs, which needs a key for that: `sign` beside it, or the bus's",
                contract.name, job.name
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a message that is not to be believed; of one that is, its times are those that were
    /// signed.
    pub(crate) fn check(
        &self,
        queue: &str,
        message: &Message,
        envelope: &mut Envelope,
    ) -> Result<(), Fault> {
        let Some(ring) = &self.callers else {
            return Ok(());
        };
        let checked = request::check(ring, &self.namespace, queue, message);
        let times = checked.and_then(|times| {
            let now = unix_time() + CLOCK_ALLOWANCE;
            let is_due = Duration::from_millis(times.from) <= now;
            is_due.then_some(times).ok_or(Refusal::TooEarly)
        });
        let Times { until, .. } = times
            .map_err(|refusal| Fault::new(FaultCode::Denied, format!("the request: {refusal}")))?;
        let until = Duration::from_millis(until);
        let left = (until + CLOCK_ALLOWANCE).saturating_sub(unix_time());
        envelope.bound(until, Instant::now() + left);
        Ok(())
    }

    /// `true` if what a message says of its job is to be believed: an instance of this service signed
    /// it, or nothing is asked of anybody.
    pub(crate) fn believes_of_job(&self, queue: &str, message: &Message) -> bool {
        self.callers.is_none() || job::is_signed(&self.instances, queue, &message.properties)
    }

    /// Signs what this service added to the message of a job, if its caller is believed: no word of
    /// ours is given to what anybody else made of it.
    pub(crate) fn sign_job(&self, queue: &str, message: &mut Message) {
        if let (Some(ring), Some(key)) = (&self.callers, &self.key)
            && request::check(ring, &self.namespace, queue, message).is_ok()
        {
            job::sign(key, &mut message.properties);
        }
    }

    /// A reply to a message, signed if this service signs and so did its caller, who can read it then.
    pub(crate) fn reply(&self, queue: &str, message: &Message, id: CallId, frame: Bytes) -> Bytes {
        let Some(key) = self.key_for(message) else {
            return frame;
        };
        let answered = Answered {
            namespace: &self.namespace,
            queue,
            method: message.properties.kind.as_deref().unwrap_or_default(),
            id,
        };
        reply::sign(key, answered, request_digest(&message.body), &frame)
    }

    /// The signatures of the frames of a stream that a request asks for: made for a caller who signs,
    /// and believed of that one.
    pub(crate) fn of_stream(
        &self,
        queue: &str,
        message: &Message,
        call: CallId,
    ) -> FrameSignatures {
        let believed = match &self.callers {
            Some(ring) => {
                let caller = request::key_of(message).unwrap_or_default();
                Believed::OfCaller(Arc::clone(ring), caller.into())
            }
            None => Believed::Anybodys,
        };
        FrameSignatures::of(self.key_for(message).cloned(), believed, || Stream {
            namespace: Arc::clone(&self.namespace),
            queue: queue.into(),
            method: message
                .properties
                .kind
                .as_deref()
                .unwrap_or_default()
                .into(),
            call,
            request: request_digest(&message.body),
        })
    }

    fn key_for(&self, message: &Message) -> Option<&SigningKey> {
        let key = self.key.as_ref();
        key.filter(|_| request::is_signed(message))
    }
}
