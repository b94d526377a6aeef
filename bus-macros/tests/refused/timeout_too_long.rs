use replybus::queue_handler;

#[queue_handler("accounts", timeout = "1200001ms")]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
}

fn main() {}
