//! Requests and events over RabbitMQ.
#[derive(Debug)]
pub struct Amqp;
impl Amqp {
    pub async fn connect(self) -> Result<std::sync::Arc<dyn super::Transport>, crate::SetupError> {
        Err(crate::SetupError::Closed)
    }
}
