use replybus::queue_handler;

#[derive(serde::Serialize)]
pub struct Name;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open(&self) -> Result<Name, String>;
}

fn main() {}
