//! Mail, over SMTP to a relay on the same machine.

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{self, extension::ClientId},
};
use std::{net::SocketAddr, time::Duration};
use uuid::Uuid;

/// Time for each answer of the relay.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The name of this shop, where a host is asked for.
const DOMAIN: &str = "shop.example";

/// Sends mail.
#[derive(Clone)]
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum MailError {
    /// It can't be written.
    #[error("the mail can't be written")]
    Message(#[from] lettre::error::Error),
    /// The relay did not take it.
    #[error("the relay did not take the mail")]
    Relay(#[from] smtp::Error),
}

impl MailError {
    /// `true` if it would fail again.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Message(_) => true,
            Self::Relay(error) => error.is_permanent(),
        }
    }
}

impl Mailer {
    pub(super) fn new(relay: SocketAddr) -> Self {
        let transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(relay.ip().to_string())
                .port(relay.port())
                .hello_name(ClientId::Domain(DOMAIN.to_owned()))
                .timeout(Some(ANSWER_WITHIN));
        Self {
            transport: transport.build(),
        }
    }

    /// Sends a mail under the id of its event: who gets it twice, because an answer was lost, can
    /// tell.
    pub(super) async fn send(
        &self,
        id: Uuid,
        to: Address,
        subject: String,
        body: String,
    ) -> Result<(), MailError> {
        let from =
            Address::new("no-reply", DOMAIN).map_err(|_| lettre::error::Error::MissingFrom)?;
        let message = Message::builder()
            .message_id(Some(format!("<{id}@{DOMAIN}>")))
            .from(Mailbox::new(None, from))
            .to(Mailbox::new(None, to))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(body)?;
        self.transport.send(message).await?;
        Ok(())
    }
}
