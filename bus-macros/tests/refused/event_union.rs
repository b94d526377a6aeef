use replybus::Event;

#[derive(Event)]
#[event("account.opened")]
pub union Opened {
    number: u64,
}

fn main() {}
