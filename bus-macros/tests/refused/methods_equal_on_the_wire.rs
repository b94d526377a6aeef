use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open(&self) -> Result<(), String>;
    async fn r#open(&self, name: String) -> Result<(), String>;
}

fn main() {}
