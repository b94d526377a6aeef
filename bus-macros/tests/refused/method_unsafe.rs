use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    async unsafe fn open(&self) -> Result<(), String>;
}

fn main() {}
