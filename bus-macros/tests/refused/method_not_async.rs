use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    fn open(&self) -> Result<(), String>;
}

fn main() {}
