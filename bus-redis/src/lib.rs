//! Replies of replybus through Redis.
