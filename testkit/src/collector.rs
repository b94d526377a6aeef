//! A collector of traces: takes OTLP over HTTP, decodes what OpenTelemetry's own definitions say, and
//! keeps it to be looked at.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message as _;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Bytes of one export.
const EXPORT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The path that spans come by.
const TRACES: &str = "/v1/traces";

/// A span as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectedSpan {
    /// The service that exported it.
    pub service: String,
    /// In hexadecimal, as all ids.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// Its parent's; empty if it has none.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// `internal`, `server`, `client`, `producer` or `consumer`.
    pub kind: &'static str,
    /// Nanoseconds since the Unix epoch.
    pub began: u64,
    /// Likewise.
    pub ended: u64,
    /// Its attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// The ids of spans that it is linked to.
    pub links: Vec<String>,
    /// The text of its status, if that is an error.
    pub error: Option<String>,
}

/// A collector on a port of its own. Dropped, it is away.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<CollectedSpan>>>,
    serving: JoinHandle<()>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let spans: Arc<Mutex<Vec<CollectedSpan>>> = Arc::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&spans)));
        Ok(Self {
            address,
            spans,
            serving,
        })
    }

    /// Its address, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans that have come, in the order in which they began.
    #[must_use]
    pub fn spans(&self) -> Vec<CollectedSpan> {
        let mut spans = self
            .spans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        spans.sort_by_key(|span| (span.began, span.ended));
        spans
    }

    /// Those of one trace.
    #[must_use]
    pub fn trace(&self, id: &str) -> Vec<CollectedSpan> {
        let mut spans = self.spans();
        spans.retain(|span| span.trace == id);
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The tree of these spans: a line for each, behind its depth, with its service, its kind and its name.
/// Spans whose parent is not among them are at the top.
#[must_use]
pub fn tree(spans: &[CollectedSpan]) -> Vec<String> {
    let is_there = |id: &str| spans.iter().any(|span| span.id == id);
    let mut lines = Vec::new();
    for span in spans.iter().filter(|span| !is_there(&span.parent)) {
        grow(span, spans, 0, &mut lines);
    }
    lines
}

fn grow(span: &CollectedSpan, spans: &[CollectedSpan], depth: usize, lines: &mut Vec<String>) {
    let CollectedSpan {
        service,
        kind,
        name,
        ..
    } = span;
    lines.push(format!("{}{service} {kind} {name}", "  ".repeat(depth)));
    for child in spans.iter().filter(|child| child.parent == span.id) {
        grow(child, spans, depth + 1, lines);
    }
}

async fn serve(listener: TcpListener, spans: Arc<Mutex<Vec<CollectedSpan>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let spans = Arc::clone(&spans);
        let service = service_fn(move |request| {
            let spans = Arc::clone(&spans);
            async move { Ok::<_, Infallible>(take(request, &spans).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // One that breaks off is its exporter's to tell of.
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn take(
    request: Request<Incoming>,
    spans: &Mutex<Vec<CollectedSpan>>,
) -> Response<Full<Bytes>> {
    let answer = |status, body: Vec<u8>| {
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != TRACES {
        return answer(StatusCode::NOT_FOUND, Vec::new());
    }
    let body = Limited::new(request.into_body(), EXPORT_BYTES_MAX);
    let Ok(body) = body.collect().await else {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, Vec::new());
    };
    let Ok(export) = ExportTraceServiceRequest::decode(body.to_bytes()) else {
        return answer(StatusCode::BAD_REQUEST, Vec::new());
    };
    let collected = collected(export);
    spans
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(collected);
    let done = ExportTraceServiceResponse::default();
    answer(StatusCode::OK, done.encode_to_vec())
}

fn collected(export: ExportTraceServiceRequest) -> Vec<CollectedSpan> {
    let mut all = Vec::new();
    for of_resource in export.resource_spans {
        let resource = of_resource.resource.unwrap_or_default();
        let service = texts(resource.attributes).remove("service.name");
        let service = service.unwrap_or_default();
        for scope in of_resource.scope_spans {
            let spans = scope.spans.into_iter();
            all.extend(spans.map(|span| one(span, service.clone())));
        }
    }
    all
}

fn one(span: Span, service: String) -> CollectedSpan {
    let status = span.status.clone().unwrap_or_default();
    CollectedSpan {
        service,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: match span.kind() {
            SpanKind::Unspecified => "unspecified",
            SpanKind::Internal => "internal",
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
        },
        name: span.name,
        began: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
        attributes: texts(span.attributes),
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
        error: (status.code() == SpanStatus::Error).then_some(status.message),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    };
    let attributes = attributes.into_iter();
    attributes.map(|of| (of.key, text(of.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
