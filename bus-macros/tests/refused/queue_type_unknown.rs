use replybus::queue_handler;

#[queue_handler("accounts", queue_type = "stream")]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
