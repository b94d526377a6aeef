use replybus::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event("account.*")]
pub struct Opened;

fn main() {}
