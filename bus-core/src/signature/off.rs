//! Without the feature `signed` nothing is signed, and everybody is believed.

use crate::{
    call_id::CallId,
    client::CallRequest,
    contract::ServiceContract,
    error::{Fault, SetupError},
    message::{Message, Text},
    work::Envelope,
};
use bytes::Bytes;
use std::{convert::Infallible, time::Duration};

#[derive(Debug, Clone, Default)]
pub(crate) struct FrameSignatures {}

#[allow(clippy::unused_self, reason = "as with the feature")]
impl FrameSignatures {
    pub(crate) fn checks(&self) -> bool {
        false
    }

    pub(crate) fn sign(&self, _: CallId, frame: Bytes) -> Bytes {
        frame
    }

    pub(crate) fn believed(&self, _: CallId, frame: &Bytes) -> Result<Bytes, Infallible> {
        Ok(frame.clone())
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Signatures {}

#[derive(Debug, Clone, Default)]
pub(crate) struct ServiceSignatures {}

#[allow(clippy::unused_self, reason = "as with the feature")]
impl Signatures {
    pub(crate) fn within(self, _: &str) -> Self {
        self
    }

    pub(crate) fn check(&self) -> Result<(), SetupError> {
        Ok(())
    }

    pub(crate) fn header(&self, _: &CallRequest, _: &Text, _: &Text) -> Option<(Text, Text)> {
        None
    }

    pub(crate) fn sign_again(&self, _: &str, _: &mut Message, _: Option<Duration>) {}

    pub(crate) fn check_replies(&self) -> bool {
        false
    }

    pub(crate) fn believed(&self, _: &CallRequest, reply: &Bytes) -> Result<Bytes, Infallible> {
        Ok(reply.clone())
    }

    pub(crate) fn of_stream(&self, _: &CallRequest) -> FrameSignatures {
        FrameSignatures {}
    }

    pub(crate) fn believed_of(
        &self,
        _: &str,
        _: &str,
        _: CallId,
        _: Option<[u8; 32]>,
        reply: &Bytes,
    ) -> Result<Bytes, Infallible> {
        Ok(reply.clone())
    }
}

#[allow(clippy::unused_self, reason = "as with the feature")]
impl ServiceSignatures {
    pub(crate) fn of_bus(self, _: &Signatures) -> Self {
        self
    }

    pub(crate) fn check_service(&self, _: &ServiceContract) -> Result<(), SetupError> {
        Ok(())
    }

    pub(crate) fn check(&self, _: &str, _: &Message, _: &mut Envelope) -> Result<(), Fault> {
        Ok(())
    }

    pub(crate) fn believes_of_job(&self, _: &str, _: &Message) -> bool {
        true
    }

    pub(crate) fn sign_job(&self, _: &str, _: &mut Message) {}

    pub(crate) fn reply(&self, _: &str, _: &Message, _: CallId, frame: Bytes) -> Bytes {
        frame
    }

    pub(crate) fn of_stream(&self, _: &str, _: &Message, _: CallId) -> FrameSignatures {
        FrameSignatures {}
    }
}
