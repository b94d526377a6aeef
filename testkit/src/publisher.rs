//! A publisher that sends what no client library would: the properties of a message, and the names
//! it goes by, are bytes as the test wrote them.

use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const END: u8 = 0xce;

/// Bytes of a frame, its head and end included.
const FRAME_MAX: u32 = 131_072;

/// A connection and a channel with confirms.
#[derive(Debug)]
pub struct RawPublisher {
    stream: TcpStream,
}

impl RawPublisher {
    /// Connects to the broker at `amqp://user:password@host:port/vhost`.
    ///
    /// # Errors
    /// The broker can't be reached, or refuses.
    ///
    /// # Cancel safety
    /// Dropped, it leaves nothing behind.
    pub async fn connect(url: &str) -> io::Result<Self> {
        let url = Url::parse(url).map_err(io::Error::other)?;
        let host = url.host_str().unwrap_or_default();
        let stream = TcpStream::connect((host, url.port().unwrap_or(5672))).await?;
        let mut publisher = Self { stream };
        publisher.stream.write_all(b"AMQP\0\0\x09\x01").await?;
        publisher.answer(0, (10, 10)).await?;
        let user = [url.username(), url.password().unwrap_or_default()];
        let plain = format!("\0{}\0{}", user[0], user[1]);
        let arguments = [
            long(b""),
            short(b"PLAIN"),
            long(plain.as_bytes()),
            short(b"en_US"),
        ];
        publisher.method(0, (10, 11), &arguments.concat()).await?;
        publisher.answer(0, (10, 30)).await?;
        let tune = [
            &2047_u16.to_be_bytes()[..],
            &FRAME_MAX.to_be_bytes(),
            &[0, 0],
        ];
        publisher.method(0, (10, 31), &tune.concat()).await?;
        let vhost = match url.path() {
            "/%2f" | "/%2F" => "/",
            path => path.trim_start_matches('/'),
        };
        let open = [short(vhost.as_bytes()), short(b""), vec![0]];
        publisher.method(0, (10, 40), &open.concat()).await?;
        publisher.answer(0, (10, 41)).await?;
        publisher.method(1, (20, 10), &short(b"")).await?;
        publisher.answer(1, (20, 11)).await?;
        publisher.method(1, (85, 10), &[0]).await?;
        publisher.answer(1, (85, 11)).await?;
        Ok(publisher)
    }

    /// Publishes a message, and waits until the broker has it. `properties` begin with their flags.
    ///
    /// # Errors
    /// The broker does not take it, and says why. Nothing more can be published then.
    ///
    /// # Cancel safety
    /// Dropped, the message may have been published; the publisher is of no more use.
    pub async fn publish(
        &mut self,
        exchange: &[u8],
        routing_key: &[u8],
        properties: &[u8],
        body: &[u8],
    ) -> io::Result<()> {
        let arguments = [vec![0, 0], short(exchange), short(routing_key), vec![0]];
        self.method(1, (60, 40), &arguments.concat()).await?;
        let size = u64::try_from(body.len()).map_err(io::Error::other)?;
        let header = [&[0, 60, 0, 0][..], &size.to_be_bytes(), properties];
        self.send(HEADER, 1, &header.concat()).await?;
        if !body.is_empty() {
            self.send(BODY, 1, body).await?;
        }
        self.answer(1, (60, 80)).await.map(drop)
    }

    async fn method(&mut self, channel: u16, method: (u16, u16), rest: &[u8]) -> io::Result<()> {
        let payload = [&method.0.to_be_bytes()[..], &method.1.to_be_bytes(), rest];
        self.send(METHOD, channel, &payload.concat()).await
    }

    async fn send(&mut self, kind: u8, channel: u16, payload: &[u8]) -> io::Result<()> {
        let size = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let frame = [
            &[kind][..],
            &channel.to_be_bytes(),
            &size.to_be_bytes(),
            payload,
            &[END],
        ];
        self.stream.write_all(&frame.concat()).await
    }

    /// The arguments of the method that the broker is to send next.
    async fn answer(&mut self, channel: u16, method: (u16, u16)) -> io::Result<Vec<u8>> {
        loop {
            let kind = self.stream.read_u8().await?;
            let of = self.stream.read_u16().await?;
            let size = self.stream.read_u32().await?;
            let mut payload = vec![0; usize::try_from(size).map_err(io::Error::other)?];
            self.stream.read_exact(&mut payload).await?;
            self.stream.read_u8().await?;
            if kind == HEARTBEAT {
                continue;
            }
            let (id, arguments) = payload.split_at_checked(4).unwrap_or_default();
            let expected = [method.0.to_be_bytes(), method.1.to_be_bytes()].concat();
            if (kind, of, id) == (METHOD, channel, &expected) {
                return Ok(arguments.to_vec());
            }
            // Close of a channel or the connection: a code, and a short text.
            let text = arguments.get(3..).unwrap_or_default();
            let text = String::from_utf8_lossy(text);
            return Err(io::Error::other(format!("the broker said: {text}")));
        }
    }
}

/// A short string, with its length; a longer one than 255 bytes is cut.
#[must_use]
pub fn short(text: &[u8]) -> Vec<u8> {
    let text = text.get(..usize::from(u8::MAX)).unwrap_or(text);
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [&[length], text].concat()
}

/// A long string, table or array, with its length.
#[must_use]
pub fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}
