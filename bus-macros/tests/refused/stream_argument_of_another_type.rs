use replybus::{Never, queue_handler};

#[queue_handler("log.requests")]
trait Log {
    async fn write(&self, #[stream] lines: Vec<String>) -> Result<(), Never>;
}

fn main() {}
