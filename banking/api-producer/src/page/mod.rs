//! The web pages, that of customers and that of the administrator (`../status_page`): their files are
//! bundled when the program is built (`build.rs`), and served as they are.
//!
//! Nothing is inline and nothing comes from elsewhere, so the browser is told to run and load only
//! what this server serves. `page.js` and `status.js` are where reading begins. Nobody needs a right to
//! load a page: there is nothing of the bank in it.

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

/// Browsers ask for the document every time, so that it names the files of this very program.
const ASKED_EACH_TIME: &str = "no-cache";
/// What has a hash of its contents in its name never changes.
const KEPT: &str = "public, max-age=31536000, immutable";

/// A file of the page, as `build.rs` made it.
struct File {
    path: &'static str,
    kind: &'static str,
    kept: &'static str,
    body: &'static str,
}

/// One that `build.rs` made.
macro_rules! made {
    ($name:literal) => {
        include_str!(concat!(env!("OUT_DIR"), "/", $name))
    };
}

static FILES: [File; 7] = [
    File {
        path: "/",
        kind: HTML,
        kept: ASKED_EACH_TIME,
        body: made!("index.html"),
    },
    File {
        path: env!("PATH_OF_PAGE_CSS"),
        kind: CSS,
        kept: KEPT,
        body: made!("page.css"),
    },
    File {
        path: env!("PATH_OF_PAGE_JS"),
        kind: SCRIPT,
        kept: KEPT,
        body: made!("page.js"),
    },
    File {
        path: "/status",
        kind: HTML,
        kept: ASKED_EACH_TIME,
        body: made!("status.html"),
    },
    File {
        path: env!("PATH_OF_STATUS_CSS"),
        kind: CSS,
        kept: KEPT,
        body: made!("status.css"),
    },
    File {
        path: env!("PATH_OF_STATUS_JS"),
        kind: SCRIPT,
        kept: KEPT,
        body: made!("status.js"),
    },
    File {
        path: env!("PATH_OF_FAVICON_SVG"),
        kind: SVG,
        kept: KEPT,
        body: made!("favicon.svg"),
    },
];

/// Serves the pages at `/` and `/status`, and their files.
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

    /// The file, or that the browser has it already.
    fn answer(&self, tag: &str, request: &HeaderMap) -> Response {
        let known = request
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|tags| tags.to_str().ok())
            .flat_map(|tags| tags.split(','))
            .any(|known| known.trim().trim_start_matches("W/") == tag);
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.kept));
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
mod bundle;
#[cfg(test)]
mod tests;
