//! The messages of `orders.proto`, as prost's generator writes them, and what becomes of them.

use crate::migration::orders;

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct GetOrderRequest {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct PlaceOrderRequest {
    #[prost(string, tag = "1")]
    pub(crate) sku: String,
    #[prost(uint32, tag = "2")]
    pub(crate) quantity: u32,
    #[prost(string, tag = "3")]
    pub(crate) key: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ListOrdersRequest {
    #[prost(string, tag = "1")]
    pub(crate) sku: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Order {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(string, tag = "2")]
    pub(crate) sku: String,
    #[prost(uint32, tag = "3")]
    pub(crate) quantity: u32,
    #[prost(string, optional, tag = "4")]
    pub(crate) by: Option<String>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ImportOrdersReply {
    #[prost(uint64, tag = "1")]
    pub(crate) count: u64,
}

impl From<orders::Order> for Order {
    fn from(order: orders::Order) -> Self {
        let orders::Order {
            id,
            sku,
            quantity,
            by,
        } = order;
        Self {
            id,
            sku,
            quantity,
            by,
        }
    }
}

impl From<Order> for orders::Order {
    fn from(order: Order) -> Self {
        let Order {
            id,
            sku,
            quantity,
            by,
        } = order;
        Self {
            id,
            sku,
            quantity,
            by,
        }
    }
}
