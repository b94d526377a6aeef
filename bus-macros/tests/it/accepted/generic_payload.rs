//! Arguments and answers of generic types, arrays, tuples and nested options.
use replybus::queue_handler;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::HashMap};

#[derive(Serialize, Deserialize)]
pub struct Page<T> {
    items: Vec<T>,
}

#[derive(Serialize, Deserialize)]
pub struct Item;

#[queue_handler("items")]
pub trait Items {
    #[query]
    async fn list(
        &self,
        pages: Page<Item>,
        by_name: HashMap<String, Vec<Option<Item>>>,
        range: (u32, [u8; 4]),
        boxed: Box<Page<Item>>,
        text: Cow<'static, str>,
        limit: Option<u32>,
    ) -> Result<Page<Item>, String>;
}

struct Shelf;

impl Items for Shelf {
    async fn list(
        &self,
        pages: Page<Item>,
        _: HashMap<String, Vec<Option<Item>>>,
        _: (u32, [u8; 4]),
        _: Box<Page<Item>>,
        _: Cow<'static, str>,
        _: Option<u32>,
    ) -> Result<Page<Item>, String> {
        Ok(pages)
    }
}

#[test]
fn a_server_of_it_is_made() {
    let _ = ItemsServer::new(Shelf).clone();
}
