//! The routes, by service, and what describes them.

mod account;
mod admin;
mod auth;
mod dashboard;
mod export;
mod health;
mod month_statement;
mod notifications;
pub(crate) mod openapi;
mod own;
mod short;
mod standing_order;
mod transfer;

use crate::{gateway::Gateway, operating};
use axum::{Json, Router, response::IntoResponse as _, routing::get};
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// All routes of the gateway but the page and `/ws`, the description of the API among them.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    let (router, api) = described();
    finished(router, api, gateway)
}

fn described() -> (Router<Arc<Gateway>>, OpenApi) {
    let (router, api) = OpenApiRouter::with_openapi(openapi::begin())
        .merge(auth::router())
        .merge(account::router())
        .merge(export::router())
        .merge(month_statement::router())
        .merge(admin::router())
        .merge(transfer::router())
        .merge(standing_order::router())
        .merge(notifications::router())
        .merge(dashboard::router())
        .merge(short::router())
        .merge(health::router())
        .merge(own::router())
        .merge(operating::router())
        .split_for_parts();
    (router, openapi::finish(api))
}

fn finished(router: Router<Arc<Gateway>>, api: OpenApi, gateway: Arc<Gateway>) -> Router {
    // Shared: each request copies what its handler holds.
    let api = Arc::new(api);
    let description = async move || Json(&*api).into_response();
    router
        .route("/openapi.json", get(description))
        .with_state(gateway)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HttpSettings, Limits};
    use chassis::{Platform, settings::PlatformSettings};
    use std::collections::BTreeSet;

    #[tokio::test]
    async fn every_route_is_described_and_every_description_is_of_a_route() {
        let platform = Platform::connect("test", PlatformSettings::default());
        let platform = platform.await.unwrap();
        let http = HttpSettings::at("127.0.0.1:0".parse().unwrap());
        let gateway = Arc::new(Gateway::new(&platform, &http, Limits::default()).unwrap());
        let (router, api) = described();
        // A router lists its paths nowhere but here.
        let printed = format!("{:?}", finished(router, api.clone(), gateway));
        let served: BTreeSet<&str> = printed
            .split('"')
            // axum's own, for what is not found, are among them.
            .filter(|text| text.starts_with('/') && *text != "/" && !text.contains("__private"))
            .collect();
        let described = api.paths.paths.keys().map(String::as_str);
        // `/ws` is mounted beside; the description does not describe itself.
        let described: BTreeSet<&str> = described
            .filter(|path| *path != "/ws")
            .chain(["/openapi.json"])
            .collect();
        assert_eq!(served, described);
    }
}
