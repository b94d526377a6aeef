use replybus::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event("account.opened")]
pub struct Opened<T>(T);

fn main() {}
