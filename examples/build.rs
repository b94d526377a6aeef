//! What tonic's generator makes of `migration/grpc/orders.proto`. It is told here what is in that
//! file, as the compiler of such files is a program that not every machine has.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "grpc")]
    orders();
}

#[cfg(feature = "grpc")]
fn orders() {
    use tonic_build::manual::{Builder, Method, Service};

    let method = |name: &str, route: &str, input: &str, output: &str| {
        let message = |name| format!("crate::migration::grpc::messages::{name}");
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type(message(input))
            .output_type(message(output))
            .codec_path("tonic_prost::ProstCodec")
    };
    let orders = Service::builder()
        .package("orders")
        .name("Orders")
        .method(method("get_order", "GetOrder", "GetOrderRequest", "Order").build())
        .method(method("place_order", "PlaceOrder", "PlaceOrderRequest", "Order").build())
        .method(
            method("list_orders", "ListOrders", "ListOrdersRequest", "Order")
                .server_streaming()
                .build(),
        )
        .method(
            method(
                "import_orders",
                "ImportOrders",
                "Order",
                "ImportOrdersReply",
            )
            .client_streaming()
            .build(),
        )
        .build();
    Builder::new().compile(&[orders]);
}
