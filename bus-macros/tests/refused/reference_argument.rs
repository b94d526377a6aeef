use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open(&self, name: &str, notes: Vec<Option<&str>>) -> Result<(), String>;
}

fn main() {}
