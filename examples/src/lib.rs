//! replybus-examples
