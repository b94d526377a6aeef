use super::*;
use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
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
    for gone in ["/page.js", "/page.css", "/status.js", "/modules/money.js"] {
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
    for page in ["/", "/status"] {
        let (_, headers, html) = get_file(page, None).await;
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self';"));
        assert!(policy.contains("style-src 'self';"));
        assert!(!policy.contains("unsafe"));
        for forbidden in ["<style", "style=", "onclick=", "onload=", "http:", "https:"] {
            assert!(!html.contains(forbidden), "{page}: {forbidden}");
        }
        assert_eq!(between(&html, "<script", ">").len(), 1);
        assert_eq!(between(&html, "<script", ">")[0].matches("src=").count(), 1);
    }
}

#[test]
fn all_but_the_document_is_kept_under_a_name_that_its_contents_give_it() {
    let mut asked = Vec::new();
    for page in FILES.iter().filter(|file| file.kind == HTML) {
        asked.extend(between(page.body, "src=\"", "\""));
        let links = between(page.body, "href=\"", "\"");
        asked.extend(links.iter().filter(|path| path.starts_with('/')));
    }
    let kept: Vec<&str> = FILES
        .iter()
        .filter(|file| file.kept == KEPT)
        .map(|file| file.path)
        .collect();
    assert_eq!(kept.len(), FILES.len() - 2);
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

/// The texts of all files in a folder of the page, and what is in its folders.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(self::texts(&path));
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            texts.push((path, text));
        }
    }
    texts
}

/// The folder of a page.
fn folder(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(page)
}

#[test]
fn all_that_the_page_says_it_says_in_every_language() {
    let built = [
        "amount.", "entry.", "live.", "notices.", "order.", "status.",
    ];
    assert!(said_in_every_language("page", &built) > 100);
}

#[test]
fn all_that_the_status_page_says_it_says_in_every_language() {
    let built = [
        "breaker.", "delayed.", "jobs.", "letters.", "live.", "status.",
    ];
    assert!(said_in_every_language("status_page", &built) > 30);
}

/// How often a page says something. What it puts together is named by its beginning.
fn said_in_every_language(page: &str, built: &[&str]) -> usize {
    let page = folder(page);
    let words = |language: &str| -> BTreeMap<String, String> {
        let path = page.join(format!("modules/words/{language}.json"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let values = |text: &str| -> BTreeSet<String> {
        between(text, "{", "}")
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let (english, mut vietnamese) = (words("en"), words("vi"));
    // What the bank says in English needs no words in English.
    vietnamese.retain(|key, _| !key.starts_with("bank: "));
    assert!(
        english.keys().eq(vietnamese.keys()),
        "the same things are said"
    );
    for (key, text) in &english {
        assert!(!text.is_empty() && !vietnamese[key].is_empty(), "{key}");
        assert_eq!(values(text), values(&vietnamese[key]), "{key}");
    }
    let all = texts(&page);
    let mut said = 0;
    for (path, text) in &all {
        for quoted in ["data-say=\"", "data-name=\"", "tell(\""] {
            for key in between(text, quoted, "\"") {
                assert!(english.contains_key(key), "{}: {key}", path.display());
                said += 1;
            }
        }
    }
    // And nothing is kept that nobody says.
    for key in english
        .keys()
        .filter(|key| !built.iter().any(|part| key.starts_with(part)))
    {
        let quoted = format!("\"{key}\"");
        let is_said = |(path, text): &(PathBuf, String)| {
            path.extension().is_some_and(|kind| kind != "json") && text.contains(&quoted)
        };
        assert!(all.iter().any(is_said), "nobody says {key}");
    }
    said
}

#[test]
fn every_module_and_style_sheet_is_part_of_the_page() {
    let of = |page: &'static str, name: &'static str| {
        let texts = texts(&folder(page)).into_iter();
        texts.map(move |(path, text)| (name, path, text))
    };
    for (name, path, text) in of("page", "/page-").chain(of("status_page", "/status-")) {
        let kind = path.extension().unwrap_or_default();
        let end = format!(".{}", kind.display());
        let whole = FILES
            .iter()
            .find(|file| file.path.starts_with(name) && file.path.ends_with(&end));
        let Some(whole) = whole.filter(|_| kind == "js" || kind == "css") else {
            continue;
        };
        let lines = text.lines().map(|line| line.trim_start_matches("export "));
        let longest = lines
            .filter(|line| !line.starts_with("import") && !line.starts_with("//"))
            .max_by_key(|line| line.len());
        assert!(
            whole.body.contains(longest.unwrap()),
            "{} is left out",
            path.display()
        );
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
