//! The macros of replybus.
