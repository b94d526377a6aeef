//! Articles about products. They are written where the products are, and told to whoever shows them
//! with all the names that it takes.

mod routes;
mod table;

pub(super) use routes::{State, routes};
pub(super) use table::ArticleTable;
