use replybus::queue_handler;

#[queue_handler(concurrency = 4)]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
