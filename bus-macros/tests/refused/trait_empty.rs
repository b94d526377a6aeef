use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {

}

fn main() {}
