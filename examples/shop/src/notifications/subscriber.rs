//! Tells buyers that their orders are confirmed: once, however often the event comes.

use super::{
    mail::{MailError, Mailer},
    table::{DeliveryTable, PreferenceTable},
    template,
};
use crate::contracts::OrderCreated;
use std::error::Error;

/// Handles events. Clones share what they stand on.
#[derive(Clone)]
pub(super) struct Subscriber {
    pub(super) deliveries: DeliveryTable,
    pub(super) preferences: PreferenceTable,
    pub(super) mailer: Option<Mailer>,
}

/// Somebody was not told yet; the event comes again.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTold {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    Mail(#[from] MailError),
}

impl Subscriber {
    /// A process that ends after the relay took a mail and before that is noted sends it again,
    /// under the same Message-ID; nothing else does.
    pub(super) async fn tell(self, order: OrderCreated) -> Result<(), NotTold> {
        let wanted = self.preferences.find(order.user_id).await?;
        let text = template::confirmation(&order, wanted.language);
        if !self
            .deliveries
            .begin(&order, wanted.language, &text)
            .await?
        {
            return Ok(());
        }
        let address = wanted.email.as_deref().map(str::parse);
        let (mailer, address) = match (wanted.enabled, &self.mailer, address) {
            (false, _, _) => return self.not_sent(&order, "the user turned it off").await,
            (true, None, _) => return self.not_sent(&order, "no SMTP server set").await,
            (true, Some(_), None | Some(Err(_))) => {
                return self.not_sent(&order, "the user has no address").await;
            }
            (true, Some(mailer), Some(Ok(address))) => (mailer, address),
        };
        let (subject, body) = text;
        match mailer.send(order.id, address, subject, body).await {
            Ok(()) => {
                self.deliveries.note(order.id, "sent", None).await?;
                count("sent");
                Ok(())
            }
            Err(error) => {
                let id = order.order_id;
                tracing::warn!(
                    order = id,
                    error = &error as &dyn Error,
                    "a mail was not sent"
                );
                if error.is_permanent() {
                    return self.not_sent(&order, "the relay refused the mail").await;
                }
                let waits = Some("the relay did not take the mail yet");
                self.deliveries.note(order.id, "pending", waits).await?;
                Err(error.into())
            }
        }
    }

    async fn not_sent(&self, order: &OrderCreated, why: &str) -> Result<(), NotTold> {
        let detail = format!("not sent: {why}");
        let noted = self.deliveries.note(order.id, "not_sent", Some(&detail));
        noted.await?;
        count("not_sent");
        Ok(())
    }
}

fn count(status: &'static str) {
    metrics::counter!("shop_notifications_total", "status" => status).increment(1);
}
