use replybus::{Never, queue_handler};

#[queue_handler("log.requests")]
trait Log {
    #[stream]
    async fn lines(&self) -> Result<Vec<String>, Never>;
}

fn main() {}
