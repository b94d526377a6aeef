use replybus::Event;

#[derive(Event, serde::Serialize)]
#[event("account.opened")]
pub struct Opened;

fn main() {}
