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
    for file in &FILES {
        let (status, headers, body) = get_file(file.path, None).await;
        assert_eq!(status, StatusCode::OK, "{}", file.path);
        assert_eq!(headers[CONTENT_TYPE], file.kind, "{}", file.path);
        assert_eq!(headers[CACHE_CONTROL], file.kept, "{}", file.path);
        assert_eq!(body, file.body, "{}", file.path);
    }
    for gone in ["/page.js", "/page.css", "/modules/money.js"] {
        let (status, ..) = get_file(gone, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{gone}");
    }
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
    let (status, headers, _) = get_file(env!("PATH_OF_PAGE_CSS"), Some(tag)).await;
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
fn all_but_the_document_is_kept_under_a_name_that_its_contents_give_it() {
    let html = FILES.iter().find(|file| file.kind == HTML).unwrap().body;
    let mut asked = between(html, "src=\"", "\"");
    let links = between(html, "href=\"", "\"");
    asked.extend(links.iter().filter(|path| path.starts_with('/')));
    let kept: Vec<&str> = FILES
        .iter()
        .filter(|file| file.kept == KEPT)
        .map(|file| file.path)
        .collect();
    assert_eq!(kept.len(), FILES.len() - 1);
    for path in &asked {
        assert!(
            kept.contains(path),
            "{path} is not served, or asked for each time"
        );
    }
    for path in kept {
        assert!(asked.contains(&path), "{path} is asked for by nobody");
        let hash = between(path, "-", ".")[0];
        assert_eq!(hash.len(), 16, "{path}");
    }
}

/// Modules as the page has them, by path.
fn modules(path: &str) -> Result<String, String> {
    Ok(match path {
        "page.js" => {
            "import { pay, limit as most } from \"./modules/pay.js\";\n\
            import words from \"./words/en.json\" with { type: \"json\" };\n\
            // A remark.\n\
            show(words, pay(most));\n"
        }
        "modules/pay.js" => {
            "import {\n  round,\n} from \"./round.js\";\n\
            export const limit = 3;\nexport async function pay(n) {\n  return round(n);\n}\n"
        }
        "modules/round.js" => {
            "const half = 0.5;\nexport function round(n) {\n  return n + half;\n}\n"
        }
        "words/en.json" => "{ \"hello\": \"Hello\" }\n",
        "circle.js" => "import { a } from \"./circle2.js\";\nexport const b = a;\n",
        "circle2.js" => "import { b } from \"./circle.js\";\nexport const a = b;\n",
        "default.js" => "export default 3;\n",
        "dynamic.js" => "import * as all from \"./modules/round.js\";\n",
        "endless.js" => "import { a,\n b",
        "nowhere.js" => "import { a } from \"./gone.js\";\n",
        _ => return Err(format!("{path} is not there")),
    }
    .to_owned())
}

#[test]
fn modules_become_one_script_in_the_order_in_which_they_need_each_other() {
    let script = bundle::bundle("page.js", modules).unwrap();
    assert_eq!(
        script,
        "const $_modules_round_js = (() => {\nconst half = 0.5;\n\
         function round(n) {\n  return n + half;\n}\nreturn { round };\n})();\n\
         const $_modules_pay_js = (() => {\nconst {round,} = $_modules_round_js;\n\
         const limit = 3;\nasync function pay(n) {\n  return round(n);\n}\n\
         return { limit, pay };\n})();\n\
         const $_words_en_json = { \"hello\": \"Hello\" };\n\
         const $_page_js = (() => {\nconst { pay, limit: most } = $_modules_pay_js;\n\
         const words = $_words_en_json;\nshow(words, pay(most));\nreturn {  };\n})();\n"
    );
}

#[test]
fn what_can_not_be_bundled_is_named() {
    for (entry, named) in [
        ("circle.js", "circle.js imports itself"),
        ("default.js", "default.js: \"export default 3;\""),
        ("dynamic.js", "dynamic.js: \"import * as all"),
        ("endless.js", "endless.js: an import has no end"),
        ("nowhere.js", "gone.js is not there"),
    ] {
        let refused = bundle::bundle(entry, modules).unwrap_err();
        assert!(refused.contains(named), "{entry}: {refused}");
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
