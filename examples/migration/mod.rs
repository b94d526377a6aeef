//! From other ways of calling to replybus: what was there before, what comes, and the bridges between
//! them, with which one service at a time moves while all go on. docs/migration.md tells of it.

pub(crate) mod cart;
pub(crate) mod contract;
pub(crate) mod grpc;
pub(crate) mod ledger;
pub(crate) mod orders;
pub(crate) mod place;
pub(crate) mod polled;
pub(crate) mod program;
pub(crate) mod reply_to;
pub(crate) mod service;
pub(crate) mod stages;
