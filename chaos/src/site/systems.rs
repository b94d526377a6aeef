//! The programs that the bank and the shop consist of, and where each is asked.

use super::programs::ProgramPlan;
use anyhow::{Context as _, Result, ensure};
use bank_client::Client;
use rand::RngExt as _;
use replybus_testkit::servers::{ReservedPort, Workplace};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// Connections to PostgreSQL of one program of the bank, and of the shop by default: a server gives
/// 100 to all of them.
const BANK_CONNECTIONS: u32 = 5;
/// Seconds for which the shop may show an older product after its cache could not be told of a
/// change: the audit waits for longer.
const CACHE_TTL: u64 = 5;
/// Seconds that a customer of the shop is known: longer than a run.
const TOKEN_TTL: u64 = 2_592_000;

/// One of the two systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemName {
    Bank,
    Shop,
}

impl SystemName {
    /// The prefix of its queues and keys.
    pub(crate) const fn namespace(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Shop => "shop",
        }
    }
}

/// The bank's services, and how many programs of each there are.
const BANK: [(&str, usize); 5] = [
    // A password's hash keeps a processor busy: a second one would have none left.
    ("auth-service", 1),
    ("account-service", 2),
    ("transfer-service", 2),
    ("notification-service", 1),
    (GATEWAY, 2),
];
const GATEWAY: &str = "api-producer";
/// The routes of the bank's gateway that say how its services are.
const BANK_HEALTH: [&str; 5] = [
    "/health",
    "/api/auth/health",
    "/api/account/health",
    "/api/transfer/health",
    "/api/notifications/health",
];

/// The shop's services, each with the setting that says where it listens.
const SHOP: [(&str, &str, usize); 4] = [
    (USERS, "USER_ADDR", 1),
    (PRODUCTS, "PRODUCT_ADDR", 1),
    (ORDERS, "ORDER_ADDR", 2),
    (NOTIFICATIONS, "NOTIFICATION_ADDR", 1),
];
const USERS: &str = "user-service";
const PRODUCTS: &str = "product-service";
const NOTIFICATIONS: &str = "notification-service";
const ORDERS: &str = "order-service";

/// Where bank and shop are asked.
pub(crate) struct Systems {
    /// The bank's gateways.
    pub(crate) gateways: Vec<Client>,
    /// What the bank's gateways take as its administrator's secret.
    pub(crate) admin_secret: String,
    pub(crate) users: Client,
    pub(crate) products: Client,
    /// The shop's order services.
    pub(crate) orders: Vec<Client>,
    pub(crate) notifications: Client,
}

impl Systems {
    /// Makes keys, and says which programs there are to be.
    ///
    /// # Errors
    /// The programs `bank` and `shop` are not in that folder, or there are no ports.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn lay_out(
        binaries: &Path,
        workplace: &Workplace,
    ) -> Result<(Self, Vec<ProgramPlan>)> {
        let file = |system: SystemName| {
            let file = binaries.join(system.namespace());
            ensure!(
                file.is_file(),
                "{} is missing: build it first",
                file.display()
            );
            Ok(std::path::absolute(file)?)
        };
        let (bank, shop) = (file(SystemName::Bank)?, file(SystemName::Shop)?);
        let bank_keys = keys(&bank, workplace.path("bank-keys")).await?;
        let shop_keys = keys(&shop, workplace.path("shop-keys")).await?;
        let admin_secret = format!("{:032x}", rand::rng().random::<u128>());
        let (gateways, mut plans) = bank_plans(&bank, &bank_keys, &admin_secret)?;
        let (faces, shop_plans) = shop_plans(&shop, &shop_keys)?;
        plans.extend(shop_plans);
        let of = |service: &str| {
            let faces = faces.iter().filter(|(name, _)| *name == service);
            let clients: Vec<Client> = faces.map(|(_, client)| client.clone()).collect();
            clients
        };
        let one = |service: &str| of(service).pop().context("a service has no face");
        let systems = Self {
            gateways,
            admin_secret,
            users: one(USERS)?,
            products: one(PRODUCTS)?,
            orders: of(ORDERS),
            notifications: one(NOTIFICATIONS)?,
        };
        Ok((systems, plans))
    }

    /// Whom to ask whether all is well, and by which route.
    pub(crate) fn health(&self) -> Vec<(&Client, &'static str)> {
        let gateways = self.gateways.iter();
        let bank = gateways.flat_map(|gateway| BANK_HEALTH.map(|path| (gateway, path)));
        let shop = [&self.users, &self.products, &self.notifications];
        let shop = shop.into_iter().chain(&self.orders);
        bank.chain(shop.map(|face| (face, "/health"))).collect()
    }
}

/// The bank's programs, and a client of each gateway.
fn bank_plans(file: &Path, keys: &str, secret: &str) -> Result<(Vec<Client>, Vec<ProgramPlan>)> {
    let (mut gateways, mut plans) = (Vec::new(), Vec::new());
    for (service, count) in BANK {
        for number in 1..=count {
            let mut plan = ProgramPlan {
                name: name(SystemName::Bank, service, number, count),
                file: file.to_owned(),
                arguments: vec!["serve".to_owned(), service.to_owned()],
                environment: vec![
                    ("BUS_NAMESPACE", SystemName::Bank.namespace().to_owned()),
                    ("KEYS_DIR", keys.to_owned()),
                    ("ADMIN_SECRET", secret.to_owned()),
                    ("DATABASE_CONNECTIONS", BANK_CONNECTIONS.to_string()),
                ],
                servers: ["RABBITMQ_URL", "REDIS_URL", "DATABASE_URL"],
                _port: None,
            };
            if service == GATEWAY {
                gateways.push(listening(&mut plan, "HTTP_ADDR")?);
            }
            plans.push(plan);
        }
    }
    Ok((gateways, plans))
}

/// A service of the shop, and a client of one of its programs.
type Face = (&'static str, Client);

/// The shop's programs, and where each is asked.
fn shop_plans(file: &Path, keys: &str) -> Result<(Vec<Face>, Vec<ProgramPlan>)> {
    let (mut faces, mut plans) = (Vec::new(), Vec::new());
    for (service, setting, count) in SHOP {
        for number in 1..=count {
            let mut plan = ProgramPlan {
                name: name(SystemName::Shop, service, number, count),
                file: file.to_owned(),
                arguments: vec!["serve".to_owned(), service.to_owned()],
                environment: vec![
                    ("BUS_NAMESPACE", SystemName::Shop.namespace().to_owned()),
                    ("KEYS_DIR", keys.to_owned()),
                    ("CACHE_TTL", CACHE_TTL.to_string()),
                    ("TOKEN_TTL", TOKEN_TTL.to_string()),
                ],
                servers: ["AMQP_URL", "REDIS_URL", "DATABASE_URL"],
                _port: None,
            };
            faces.push((service, listening(&mut plan, setting)?));
            plans.push(plan);
        }
    }
    Ok((faces, plans))
}

fn name(system: SystemName, service: &str, number: usize, of: usize) -> String {
    let number = if of > 1 {
        format!(" {number}")
    } else {
        String::new()
    };
    format!("{} {service}{number}", system.namespace())
}

/// Gives a program an address of its own to listen on, and returns a client for it.
fn listening(plan: &mut ProgramPlan, setting: &'static str) -> Result<Client> {
    let port = ReservedPort::new()?;
    plan.environment.push((setting, port.address().to_string()));
    let client = Client::new(format!("http://{}", port.address()).parse()?)?;
    plan._port = Some(port);
    Ok(client)
}

/// Lets a program write its keys; returns where they are.
async fn keys(program: &Path, folder: PathBuf) -> Result<String> {
    let mut write = Command::new(program);
    write.env_clear().arg("keys").arg(&folder);
    let written = write.stdin(Stdio::null()).output().await?;
    ensure!(
        written.status.success(),
        "{} writes no keys: {}",
        program.display(),
        String::from_utf8_lossy(&written.stderr)
    );
    let folder = folder.into_os_string().into_string();
    folder.map_err(|_| anyhow::anyhow!("the folder of temporary files is no text"))
}
