use replybus::queue_handler;

#[derive(serde::Deserialize)]
pub struct Name;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open(&self, id: u64, name: Name, age: u8) -> Result<(), String>;
}

fn main() {}
