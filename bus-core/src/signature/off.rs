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
pub(crate) struct Signatures {}

#[derive(Debug, Clone, Default)]
pub(crate) struct Callers {}

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

    pub(crate) fn reply(&self, _: &str, _: &Message, _: CallId, frame: Bytes) -> Bytes {
        frame
    }

    pub(crate) fn check_replies(&self) -> bool {
        false
    }

    pub(crate) fn believed(&self, _: &CallRequest, reply: &Bytes) -> Result<Bytes, Infallible> {
        Ok(reply.clone())
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
impl Callers {
    pub(crate) fn check_service(&self, _: &ServiceContract) -> Result<(), SetupError> {
        Ok(())
    }

    pub(crate) fn check(
        &self,
        _: &Signatures,
        _: &str,
        _: &Message,
        _: &mut Envelope,
    ) -> Result<(), Fault> {
        Ok(())
    }
}
