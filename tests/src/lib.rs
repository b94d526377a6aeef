//! replybus-tests
