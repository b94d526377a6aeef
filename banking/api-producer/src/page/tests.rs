use super::*;
use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use tower::ServiceExt;

async fn get_file(path: &str, known: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path);
    if let Some(tags) = known {
        request = request.header(IF_NONE_MATCH, tags);
    }
    let request = request.body(Body::empty()).unwrap();
    let (parts, body) = router().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (parts.status, parts.headers, body)
}

/// What stands between `before` and `after`, everywhere in a text.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts.filter_map(|rest| rest.split(after).next()).collect()
}

#[tokio::test]
async fn every_file_is_served_as_what_it_is() {
    for file in FILES {
        let (status, headers, body) = get_file(file.path, None).await;
        assert_eq!(status, StatusCode::OK, "{}", file.path);
        assert_eq!(headers[CONTENT_TYPE], file.kind, "{}", file.path);
        assert_eq!(headers[CACHE_CONTROL], "no-cache", "{}", file.path);
        assert_eq!(body, file.body, "{}", file.path);
    }
    let (status, ..) = get_file("/modules/mod.rs", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let (_, headers, _) = get_file("/", None).await;
    let tag = headers[ETAG].to_str().unwrap();
    for known in [tag.to_owned(), format!("\"other\", W/{tag}")] {
        let (status, headers, body) = get_file("/", Some(&known)).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!(headers[ETAG], tag);
    }
    let (status, headers, _) = get_file("/page.css", Some(tag)).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(headers[ETAG], tag);
}

#[tokio::test]
async fn only_its_own_scripts_run_and_its_own_styles_count() {
    let (_, headers, html) = get_file("/", None).await;
    let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("script-src 'self';"));
    assert!(policy.contains("style-src 'self';"));
    assert!(!policy.contains("unsafe"));
    for forbidden in ["<style", "style=", "onclick=", "onload=", "http:", "https:"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert_eq!(between(&html, "<script", ">").len(), 1);
    assert_eq!(between(&html, "<script", ">")[0].matches("src=").count(), 1);
}

#[test]
fn every_file_that_is_asked_for_is_served() {
    let served = |path: &str| FILES.iter().any(|file| file.path == path);
    let html = FILES.iter().find(|file| file.kind == HTML).unwrap().body;
    let mut asked = Vec::new();
    for quoted in ["src=\"/", "href=\"/"] {
        let paths = between(html, quoted, "\"").into_iter();
        asked.extend(paths.map(|path| format!("/{path}")));
    }
    for file in FILES.iter().filter(|file| file.kind == SCRIPT) {
        let folder = match file.path.strip_prefix("/modules/") {
            Some(_) => "/modules",
            None => "",
        };
        let imports = between(file.body, "from \"./", "\"");
        asked.extend(imports.into_iter().map(|name| format!("{folder}/{name}")));
    }
    assert!(asked.len() > 20, "{asked:?}");
    for path in &asked {
        assert!(served(path), "{path}");
    }
    // And none is served that nobody asks for.
    for file in FILES.iter().filter(|file| file.path != "/") {
        assert!(asked.iter().any(|path| path == file.path), "{}", file.path);
    }
}

#[test]
fn data_never_becomes_markup() {
    for file in FILES.iter().filter(|file| file.kind == SCRIPT) {
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
        ] {
            assert!(!file.body.contains(sink), "{}: {sink}", file.path);
        }
    }
}
