//! A message that was delivered, published once more to the queue that it came from.

use crate::{
    limits::CONFIRM_TIMEOUT,
    message::{Message, Text},
    transport::{Receipt, Verdict, Withdrawn},
    wire::headers,
};
use tokio::time::timeout;

/// The message once more, for `queue`, a name on the broker. It has nothing that the broker would act
/// on: a user that is not ours, whom it refuses, queues that copies go to, and a time after which it
/// is dropped on its way.
pub(crate) fn once_more(mut message: Message, queue: &Text) -> Message {
    message.exchange = Text::default();
    message.routing_key = queue.clone();
    let properties = &mut message.properties;
    properties.user_id = None;
    properties.expiration = None;
    properties.persistent = true;
    properties.retain_headers(|name| !matches!(name, headers::CC | headers::BCC));
    message
}

/// The word on a publish, which is withdrawn if it was not written in time.
pub(crate) async fn word_on(mut receipt: Receipt) -> Verdict {
    match timeout(CONFIRM_TIMEOUT * 2, receipt.verdict()).await {
        Ok(verdict) => verdict,
        Err(_) if receipt.withdraw() == Withdrawn::Surely => Verdict::NotWritten,
        // Written: the publisher says so when it is lost.
        Err(_) => receipt.verdict().await,
    }
}
