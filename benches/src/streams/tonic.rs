//! Streams over gRPC, without a broker: what tonic's generator would write for a method of server
//! streaming and one of client streaming.

use super::{Counted, Reading, Turn, Wanted, texts};
use crate::worker::{Ready, Worker};
use anyhow::{Context, Result};
use futures_util::{
    future::BoxFuture,
    stream::{self, BoxStream},
};
use std::{
    convert::Infallible,
    future::{Future, Ready as ReadyFuture, ready},
    pin::Pin,
    task::{Context as TaskContext, Poll},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    client::Grpc as ClientGrpc,
    codegen::{Service, http, http::uri::PathAndQuery},
    server::{ClientStreamingService, Grpc as ServerGrpc, NamedService, ServerStreamingService},
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

const TEXTS: &str = "/bench.Texts/Texts";
const COUNT: &str = "/bench.Texts/Count";

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Asked {
    #[prost(uint64, tag = "1")]
    items: u64,
    #[prost(uint32, tag = "2")]
    bytes: u32,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Count {
    #[prost(uint64, tag = "1")]
    items: u64,
    #[prost(uint64, tag = "2")]
    bytes: u64,
}

pub(super) async fn serve(ready: Ready) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    ready.tell_at(address)?;
    let mut server = Server::builder();
    let served = server.add_service(Answers).serve_with_incoming(incoming);
    served.await.context("the gRPC server failed")
}

pub(super) async fn connect(worker: &Worker) -> Result<ClientGrpc<Channel>> {
    let address = worker.address().context("the worker has no address")?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(ClientGrpc::new(endpoint.tcp_nodelay(true).connect().await?))
}

pub(super) async fn read(client: &ClientGrpc<Channel>, wanted: Wanted) -> Result<Turn> {
    let mut reading = Reading::begin(wanted);
    let mut client = client.clone();
    client.ready().await?;
    let Wanted { items, bytes, .. } = wanted;
    let codec = ProstCodec::<Asked, Text>::default();
    let method = PathAndQuery::from_static(TEXTS);
    let asked = Request::new(Asked { items, bytes });
    let mut texts = client
        .server_streaming(asked, method, codec)
        .await?
        .into_inner();
    while let Some(Text { text }) = texts.message().await? {
        reading.read(&text)?;
    }
    reading.end()
}

pub(super) async fn send(client: &ClientGrpc<Channel>, wanted: Wanted) -> Result<Turn> {
    let sending = Reading::begin(wanted);
    let mut client = client.clone();
    client.ready().await?;
    let texts = texts(wanted.items, wanted.bytes).map(|text| Text { text });
    let codec = ProstCodec::<Text, Count>::default();
    let method = PathAndQuery::from_static(COUNT);
    let sent = Request::new(stream::iter(texts));
    let counted = client.client_streaming(sent, method, codec).await?;
    let Count { items, bytes } = counted.into_inner();
    sending.sent(Counted { items, bytes })
}

#[derive(Clone)]
struct Answers;

impl NamedService for Answers {
    const NAME: &'static str = "bench.Texts";
}

impl Service<http::Request<Body>> for Answers {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let response = match request.uri().path() {
                TEXTS => {
                    let mut grpc = ServerGrpc::new(ProstCodec::<Text, Asked>::default());
                    grpc.server_streaming(Stream, request).await
                }
                COUNT => {
                    let mut grpc = ServerGrpc::new(ProstCodec::<Count, Text>::default());
                    grpc.client_streaming(Counting, request).await
                }
                _ => Status::unimplemented("there is no such method").into_http(),
            };
            Ok(response)
        })
    }
}

struct Stream;

type Texts = BoxStream<'static, Result<Text, Status>>;

impl ServerStreamingService<Asked> for Stream {
    type Response = Text;
    type ResponseStream = Texts;
    type Future = ReadyFuture<Result<Response<Texts>, Status>>;

    fn call(&mut self, request: Request<Asked>) -> Self::Future {
        let Asked { items, bytes } = request.into_inner();
        let texts = texts(items, bytes).map(|text| Ok(Text { text }));
        ready(Ok(Response::new(Box::pin(stream::iter(texts)))))
    }
}

struct Counting;

impl ClientStreamingService<Text> for Counting {
    type Response = Count;
    type Future = BoxFuture<'static, Result<Response<Count>, Status>>;

    fn call(&mut self, request: Request<Streaming<Text>>) -> Self::Future {
        Box::pin(async move {
            let mut texts = request.into_inner();
            let mut counted = Counted::default();
            while let Some(Text { text }) = texts.message().await? {
                counted.add(&text);
            }
            let Counted { items, bytes } = counted;
            Ok(Response::new(Count { items, bytes }))
        })
    }
}
