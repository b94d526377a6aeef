//! replybus-benches
