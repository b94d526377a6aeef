//! Mail, as a relay gets it.

use crate::{client::Client, stage::settings};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::ValueEnum as _;
use serde_json::{Value, json};
use shop::{
    Platform,
    ServiceName::{self, NotificationService},
    Shop,
    contracts::OrderCreated,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use town::wait::eventually;

/// A relay that keeps what it is given.
#[derive(Clone, Default)]
struct Sink {
    mails: Arc<Mutex<Vec<String>>>,
    /// Mails that it does not take for now.
    refusals: Arc<Mutex<u32>>,
}

impl Sink {
    async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, sink) = (listener.local_addr().unwrap(), self.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = sink.clone();
                tokio::spawn(async move { sink.attend(stream).await });
            }
        });
        address
    }

    /// Speaks as much of SMTP (RFC 5321) as a client needs.
    async fn attend(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 sink\r\n").await?;
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 0 {
            let answer: &[u8] = match line.get(..4) {
                Some("EHLO") => b"250-sink\r\n250 8BITMIME\r\n",
                Some("MAIL") if self.refuses() => b"451 later\r\n",
                Some("DATA") => {
                    stream.write_all(b"354 go on\r\n").await?;
                    let mut mail = String::new();
                    while !mail.ends_with("\r\n.\r\n") {
                        stream.read_line(&mut mail).await?;
                    }
                    self.mails.lock().unwrap().push(mail);
                    b"250 taken\r\n"
                }
                Some("QUIT") => b"221 bye\r\n",
                _ => b"250 ok\r\n",
            };
            stream.write_all(answer).await?;
            line.clear();
        }
        Ok(())
    }

    fn refuses(&self) -> bool {
        let mut refusals = self.refusals.lock().unwrap();
        let refuses = *refusals > 0;
        *refusals = refusals.saturating_sub(1);
        refuses
    }

    fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_gets_one_mail_in_their_language_however_often_it_is_told() {
    let sink = Sink::default();
    let mut settings = settings();
    settings.smtp_addr = Some(sink.listen().await);
    let platform = Platform::connect(settings).await.unwrap();
    let shop = Shop::start(&platform, ServiceName::value_variants())
        .await
        .unwrap();
    let nobody = Client::new(shop.addresses.clone());
    let ada = nobody.user("ada").await;
    let wanted = json!({ "language": "vi", "email": "ada@example.org" });
    let put = ada.put(NotificationService, "/preferences", wanted).await;
    put.with(200);
    let product = ada.product(json!(1234.5), 10).await;
    // The relay has a bad moment, in which the mail waits.
    *sink.refusals.lock().unwrap() = 1;
    let order = ada.order(product, 2).await.with(201);
    let told = is_told(&ada, 1).await;
    assert_eq!(
        (&told[0]["status"], &told[0]["detail"]),
        (&json!("sent"), &Value::Null)
    );
    assert_eq!(told[0]["order_id"], order["id"]);

    // The same event under another id of a message, which the bus does not know.
    let again = OrderCreated {
        id: told[0]["event"].as_str().unwrap().parse().unwrap(),
        order_id: order["id"].as_i64().unwrap(),
        user_id: order["user_id"].as_i64().unwrap(),
        username: "ada".to_owned(),
        product_id: product,
        product_name: "pen".to_owned(),
        quantity: 2,
        unit_price: 123_450,
        total_price: 246_900,
    };
    platform.bus.emit(&again).mandatory().await.unwrap();
    // What comes after it is handled by the time that this is.
    ada.order(product, 1).await.with(201);
    is_told(&ada, 2).await;
    let off = json!({ "enabled": false });
    ada.put(NotificationService, "/preferences", off)
        .await
        .with(200);
    ada.order(product, 1).await.with(201);
    let told = is_told(&ada, 3).await;
    assert_eq!(told[0]["detail"], "not sent: the user turned it off");
    // It waits for what is handled.
    shop.running.stop().await;

    let mails = sink.mails();
    assert_eq!(mails.len(), 2, "one for each order");
    let has = |text: &str| assert!(mails[0].contains(text), "{text}: {}", mails[0]);
    has("To: ada@example.org\r\n");
    has(&format!("Message-ID: <{}@shop.example>\r\n", again.id));
    // Đơn hàng, as a subject is written (RFC 2047).
    has("Subject: =?utf-8?b?");
    let (_, body) = mails[0].split_once("\r\n\r\n").unwrap();
    let body: String = body.trim_end_matches(".\r\n").split_whitespace().collect();
    let body = String::from_utf8(STANDARD.decode(body).unwrap()).unwrap();
    assert!(body.starts_with("Xin chào ada,"), "{body}");
    assert!(
        body.contains("2 x pen") && body.contains("2.469,00"),
        "{body}"
    );
}

/// Waits for so many notifications to be sent, or not to be.
async fn is_told(user: &Client, count: usize) -> Value {
    eventually("it is told", async || {
        let told = user
            .get(NotificationService, "/notifications")
            .await
            .with(200);
        let all = told.as_array()?;
        let is_settled = all.iter().all(|one| one["status"] != "pending");
        (all.len() == count && is_settled).then_some(told)
    })
    .await
}
