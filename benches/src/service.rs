//! The service that the framework's own paths call: a method of each kind, both of which return
//! their argument.

use crate::{echo::Echo, handler::Handler};
use replybus::{Never, queue_handler};

/// Echoes.
#[queue_handler("echo.requests", concurrency = 64)]
pub trait EchoService {
    /// As a query: transient, and not claimed.
    #[query]
    async fn ask(&self, echo: Echo) -> Result<Echo, Never>;

    /// As a command: persistent, and claimed before it runs.
    async fn order(&self, echo: Echo) -> Result<Echo, Never>;
}

/// The implementation.
#[derive(Debug)]
pub struct Echoes(pub Handler);

impl EchoService for Echoes {
    async fn ask(&self, echo: Echo) -> Result<Echo, Never> {
        self.0.run().await;
        Ok(echo)
    }

    async fn order(&self, echo: Echo) -> Result<Echo, Never> {
        self.0.run().await;
        Ok(echo)
    }
}
