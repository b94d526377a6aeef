//! The web page: its files are built into the program, and served as they are.
//!
//! Nothing is inline and nothing comes from elsewhere, so the browser is told to run and load only
//! what this server serves. `page.js` is where reading begins.

use axum::{
    Router,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use std::{
    future::ready,
    hash::{DefaultHasher, Hash, Hasher},
};

/// The page's rights: it may run its own scripts, use its own styles and pictures, and talk to this
/// server. Text can never become markup (`require-trusted-types-for`).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    body: &'static str,
}

/// One of `modules/`, served under that path.
macro_rules! module {
    ($name:literal) => {
        File {
            path: concat!("/modules/", $name),
            kind: SCRIPT,
            body: include_str!(concat!("modules/", $name)),
        }
    };
}

static FILES: &[File] = &[
    File {
        path: "/",
        kind: HTML,
        body: include_str!("index.html"),
    },
    File {
        path: "/page.css",
        kind: CSS,
        // In the order in which one has its way over another.
        body: concat!(
            include_str!("styles/theme.css"),
            include_str!("styles/layout.css"),
            include_str!("styles/controls.css"),
            include_str!("styles/notices.css"),
            include_str!("styles/door.css"),
            include_str!("styles/hall.css"),
            include_str!("styles/activity.css"),
            include_str!("styles/toasts.css"),
            include_str!("styles/phone.css"),
            include_str!("styles/motion.css"),
        ),
    },
    File {
        path: "/favicon.svg",
        kind: SVG,
        body: include_str!("favicon.svg"),
    },
    File {
        path: "/page.js",
        kind: SCRIPT,
        body: include_str!("page.js"),
    },
    module!("cash.js"),
    module!("desk.js"),
    module!("door.js"),
    module!("elements.js"),
    module!("http.js"),
    module!("lists.js"),
    module!("live.js"),
    module!("money.js"),
    module!("notices.js"),
    module!("order.js"),
    module!("overview.js"),
    module!("send.js"),
    module!("session.js"),
    module!("tabs.js"),
    module!("time.js"),
];

/// Serves the page at `/`, and its files.
pub(crate) fn router() -> Router {
    FILES.iter().fold(Router::new(), |router, file| {
        let tag = file.tag();
        let answer = move |headers: HeaderMap| ready(file.answer(&tag, &headers));
        router.route(file.path, get(answer))
    })
}

impl File {
    /// Names the contents: with other contents it is another.
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.body.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }

    /// The file, or that the browser has it already. Browsers ask every time, so that the files of
    /// two versions never meet.
    fn answer(&self, tag: &str, request: &HeaderMap) -> Response {
        let known = request
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|tags| tags.to_str().ok())
            .flat_map(|tags| tags.split(','))
            .any(|known| known.trim().trim_start_matches("W/") == tag);
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        insert(&mut headers, ETAG, tag);
        if known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        insert(&mut headers, CONTENT_TYPE, self.kind);
        (headers, self.body).into_response()
    }
}

/// Adds a header whose value is made of visible ASCII, as all of ours are.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
