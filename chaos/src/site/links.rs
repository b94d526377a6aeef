//! The connections between programs and servers: a proxy for each program and server.

use super::{Server, Servers};
use anyhow::Result;
use replybus_testkit::proxy::{Mode, Proxy};
use std::net::SocketAddr;

/// The proxies of each program, in the order of [`Server::ALL`].
pub(crate) struct Links(Vec<[Proxy; Server::ALL.len()]>);

impl Links {
    /// For so many programs.
    ///
    /// # Errors
    /// There are no free ports.
    pub(crate) async fn between(programs: usize, servers: &Servers) -> Result<Self> {
        let [rabbit, redis, postgres] = servers.addresses().await;
        let mut links = Vec::new();
        for _ in 0..programs {
            links.push([
                Proxy::to(rabbit).await?,
                Proxy::to(redis).await?,
                Proxy::to(postgres).await?,
            ]);
        }
        Ok(Self(links))
    }

    /// The addresses of the servers for one program, in the order of [`Server::ALL`].
    pub(crate) fn addresses(&self, program: usize) -> Vec<SocketAddr> {
        let proxies = self.0.get(program).into_iter().flatten();
        proxies.map(Proxy::addr).collect()
    }

    /// Changes how those of one program, or of all, to a server are treated.
    pub(crate) fn set(&self, program: Option<usize>, server: Server, mode: Mode) {
        for (number, proxies) in self.0.iter().enumerate() {
            let is_meant = program.is_none_or(|program| program == number);
            let place = Server::ALL.iter().position(|other| *other == server);
            if let Some(proxy) = place
                .and_then(|place| proxies.get(place))
                .filter(|_| is_meant)
            {
                proxy.set(mode);
            }
        }
    }
}
