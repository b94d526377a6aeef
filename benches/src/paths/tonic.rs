//! gRPC over TCP, without a broker: what tonic's generator would write for one unary method.

use crate::{
    echo::Echo,
    handler::Handler,
    path::{Broker, Caller, Calls, Path, Site},
    paths::turns::Turns,
    worker::{Ready, Worker},
};
use anyhow::{Context, Result};
use async_trait::async_trait;
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    client::Grpc as ClientGrpc,
    codegen::{Service, http, http::uri::PathAndQuery},
    server::{Grpc as ServerGrpc, NamedService, UnaryService},
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

const METHOD: &str = "/bench.Echo/Ask";

/// Calls through tonic: HTTP/2, one connection to each worker.
#[derive(Debug)]
pub struct Tonic;

/// [`Echo`] as a message of protocol buffers.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

#[async_trait]
impl Path for Tonic {
    fn name(&self) -> &'static str {
        "tonic"
    }

    fn broker(&self) -> Option<Broker> {
        None
    }

    async fn serve(&self, site: &Site, ready: Ready) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        ready.tell_at(address)?;
        let service = Answers(site.handler);
        let mut server = Server::builder();
        let served = server.add_service(service).serve_with_incoming(incoming);
        served.await.context("the gRPC server failed")
    }

    async fn connect(&self, _site: &Site, workers: &[Worker]) -> Result<Box<dyn Calls>> {
        let mut clients = Vec::new();
        for worker in workers {
            let address = worker.address().context("the worker has no address")?;
            let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
            let channel = endpoint.tcp_nodelay(true).connect().await?;
            clients.push(ClientGrpc::new(channel));
        }
        Ok(Box::new(Arc::new(Client(Turns::new(clients)))))
    }
}

struct Client(Turns<ClientGrpc<Channel>>);

impl Caller for Client {
    async fn call(&self, echo: &Echo) -> Result<Echo> {
        let mut client = self.0.next()?.clone();
        client.ready().await?;
        let text = echo.text.clone();
        let method = PathAndQuery::from_static(METHOD);
        let codec = ProstCodec::<Text, Text>::default();
        let reply = client.unary(Request::new(Text { text }), method, codec);
        let Text { text } = reply.await?.into_inner();
        Ok(Echo { text })
    }
}

/// The service of one method.
#[derive(Clone)]
struct Answers(Handler);

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl NamedService for Answers {
    const NAME: &'static str = "bench.Echo";
}

impl Service<http::Request<Body>> for Answers {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Ask(self.0);
        Box::pin(async move {
            if request.uri().path() != METHOD {
                return Ok(Status::unimplemented("there is no such method").into_http());
            }
            let mut grpc = ServerGrpc::new(ProstCodec::<Text, Text>::default());
            Ok(grpc.unary(method, request).await)
        })
    }
}

struct Ask(Handler);

impl UnaryService<Text> for Ask {
    type Response = Text;
    type Future = Boxed<Response<Text>, Status>;

    fn call(&mut self, request: Request<Text>) -> Self::Future {
        let handler = self.0;
        Box::pin(async move {
            handler.run().await;
            Ok(Response::new(request.into_inner()))
        })
    }
}
