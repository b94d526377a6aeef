//! The session that the README shows, as a shell runs it.
