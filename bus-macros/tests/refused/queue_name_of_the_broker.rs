use replybus::queue_handler;

#[queue_handler("amq.accounts")]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
