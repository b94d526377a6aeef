use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open(&self, (name, age): (String, u8), mut note: String) -> Result<(), String>;
}

fn main() {}
