//! The OpenAPI document against the handlers: every path it names answers as it says, and there is no other.

#![forbid(unsafe_code)]

mod support;

use gesto::unit::Provider;
use gesto::{Resize, Unit};
use gesto_live::engine::{Backend, DetectorBackend, Offer};
use gesto_live::{Config, Token};
use serde_json::Value;
use support::{Answer, Running, jpeg};

const DOCUMENT: &str = include_str!("../src/openapi.json");

/// Checks `value` against a schema; knows the words that the document uses and fails on any other.
fn check(value: &Value, schema: &Value, root: &Value, at: &str) {
    for (word, says) in schema.as_object().unwrap() {
        match word.as_str() {
            "description" => {}
            "$ref" => {
                let pointer = says.as_str().unwrap().strip_prefix('#').unwrap();
                check(value, root.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")), root, at);
            }
            "type" => {
                let kind = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                let allowed = |name: &Value| name == kind || (name == "number" && kind == "integer");
                let fits = says.as_array().map_or_else(|| allowed(says), |names| names.iter().any(allowed));
                assert!(fits, "{at} is {kind}, not {says}");
            }
            "pattern" => {
                let pattern = regex_lite::Regex::new(says.as_str().unwrap()).unwrap();
                assert!(pattern.is_match(value.as_str().unwrap()), "{at} is not {says}: {value}");
            }
            "enum" => assert!(says.as_array().unwrap().contains(value), "{at} is none of {says}"),
            "required" => {
                for name in says.as_array().unwrap() {
                    assert!(value.get(name.as_str().unwrap()).is_some(), "{at} lacks {name}");
                }
            }
            "properties" => {
                for (name, inner) in says.as_object().unwrap() {
                    if let Some(part) = value.get(name) {
                        check(part, inner, root, &format!("{at}.{name}"));
                    }
                }
            }
            "additionalProperties" => {
                assert_eq!(says, &Value::Bool(false));
                for name in value.as_object().unwrap().keys() {
                    assert!(schema["properties"].get(name).is_some(), "{at}.{name} is not in the document");
                }
            }
            "items" => {
                for (i, item) in value.as_array().unwrap().iter().enumerate() {
                    check(item, says, root, &format!("{at}[{i}]"));
                }
            }
            "minItems" => assert!(value.as_array().unwrap().len() as u64 >= says.as_u64().unwrap(), "{at}"),
            "maxItems" => assert!(value.as_array().unwrap().len() as u64 <= says.as_u64().unwrap(), "{at}"),
            other => panic!("the test does not know `{other}` at {at}"),
        }
    }
}

/// Checks an answer against the document's entry for its path, method and status.
fn conforms(root: &Value, path: &str, method: &str, answer: &Answer) {
    let status = answer.status.to_string();
    let mut response = &root["paths"][path][method]["responses"][&status];
    assert!(!response.is_null(), "{method} {path} answers {status}, which the document does not know");
    if let Some(pointer) = response.get("$ref").and_then(Value::as_str) {
        response = root.pointer(&pointer[1..]).unwrap();
    }
    for name in response.get("headers").and_then(Value::as_object).into_iter().flat_map(|all| all.keys()) {
        assert_ne!(answer.header(&name.to_ascii_lowercase()), "", "{method} {path} {status} lacks {name}");
    }
    let Some(content) = response.get("content").and_then(Value::as_object) else { return };
    let kind = answer.header("content-type").split(';').next().unwrap().to_owned();
    let entry = content.get(&kind).unwrap_or_else(|| panic!("{method} {path} answers {kind}"));
    if kind == "application/json" {
        check(&answer.json(), &entry["schema"], root, path);
    }
}

#[tokio::test]
async fn handlers_answer_as_the_document_says() {
    let mut config = Config::loopback(0);
    config.limits.body_bytes = 100_000;
    let server = Running::start(config).await;
    let served = server.get("/v1/openapi.json").await.json();
    let root: Value = serde_json::from_str(DOCUMENT).unwrap();
    assert_eq!(served, root);

    let kind = [("Content-Type", "image/jpeg")];
    let picture = jpeg(64, 48);
    let mut tried = Vec::new();
    for (path, query, method, headers, body) in [
        ("/v1/detect", "", "post", &kind[..], &picture[..]),
        ("/v1/detect", "?size=1x1", "post", &kind, &picture),
        ("/v1/detect", "", "post", &kind, &[0; 200_000]),
        ("/v1/detect", "", "post", &kind, b"no picture"),
        ("/v1/detect", "", "post", &[("Content-Type", "text/plain")], b"no picture"),
        ("/v1/detect", "", "post", &kind, &jpeg(13, 13)),
        ("/v1/events", "?source=a&source=b", "get", &[], b""),
        ("/v1/events", "?nonsense=1", "get", &[], b""),
        ("/v1/info", "", "get", &[], b""),
        ("/v1/openapi.json", "", "get", &[], b""),
        ("/v1/video", "", "get", &[], b""),
        ("/v1/stream", "", "get", &[], b""),
        ("/healthz", "", "get", &[], b""),
        ("/metrics", "", "get", &[], b""),
    ] {
        let answer = server.request(&method.to_uppercase(), &format!("{path}{query}"), headers, body).await;
        conforms(&root, path, method, &answer);
        tried.push((path, method));
    }
    // An open stream of events does not end by itself: tests/detect.rs looks at one.
    for (path, methods) in root["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            assert!(tried.contains(&(path.as_str(), method.as_str())), "{method} {path} was not tried");
        }
    }
}

#[tokio::test]
async fn refusals_are_in_the_document() {
    let root: Value = serde_json::from_str(DOCUMENT).unwrap();
    let mut config = Config::loopback(0);
    config.access.token = Some(Token::new("0123456789-abcdef").unwrap());
    let (guarded, open) = (Running::start(config).await, Running::start(Config::loopback(0)).await);
    for (path, methods) in root["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let verb = method.to_uppercase();
            let foreign = open.request(&verb, path, &[("Origin", "http://evil.example")], b"").await;
            let nameless = open.request(&verb, path, &[("Host", "a"), ("Host", "b")], b"").await;
            let wrong = open.request("DELETE", path, &[], b"").await;
            assert_eq!((foreign.status, nameless.status, wrong.status), (403, 400, 405), "{method} {path}");
            for answer in [foreign, nameless, wrong] {
                conforms(&root, path, method, &answer);
            }
            if path != "/healthz" {
                let unknown = guarded.request(&verb, path, &[], b"").await;
                assert_eq!(unknown.status, 401, "{method} {path}");
                conforms(&root, path, method, &unknown);
            }
        }
    }
}

#[tokio::test]
async fn the_document_knows_every_choice() {
    let root: Value = serde_json::from_str(DOCUMENT).unwrap();
    let schema = |name: &str| &root["components"]["schemas"][name];
    let resizes: Vec<&str> = Resize::ALL.iter().map(|resize| resize.name()).collect();
    assert_eq!(schema("Resize")["enum"], serde_json::json!(resizes));
    let units = ["cpu", "gpu", "gpu:1", "gpu:radeon pro"].map(str::to_owned).into_iter();
    for unit in units.chain(Provider::ALL.map(|provider| format!("ort:{}", provider.name()))) {
        let name = unit.parse::<Unit>().unwrap().to_string();
        check(&name.into(), schema("Unit"), &root, &unit);
    }
    for unknown in ["npu", "ort", "ort:npu", "cpu:1", "gpu:"] {
        let pattern = regex_lite::Regex::new(schema("Unit")["pattern"].as_str().unwrap()).unwrap();
        assert!(!pattern.is_match(unknown) && unknown.parse::<Unit>().is_err(), "{unknown}");
    }
    // The ways to fit are the server's own list; a real detector's, not the test's.
    let offer = Offer {
        sizes: vec![[64, 64]],
        units: vec![Unit::Cpu],
        missing: Default::default(),
        fit: gesto::Fit::Letterbox,
        resize: None,
        post_processing: None,
        thresholds: Default::default(),
    };
    let backend = DetectorBackend::new(gesto::Detector::builder().threads(1), offer).unwrap();
    assert_eq!(schema("Fit")["enum"], serde_json::json!(backend.choices().fits));
}

#[tokio::test]
async fn the_document_knows_every_route_and_every_parameter() {
    let root: Value = serde_json::from_str(DOCUMENT).unwrap();
    // The router's own words: a route that is added without the document fails here.
    let source = include_str!("../src/routes/mod.rs");
    let mut routes: Vec<&str> = source
        .split(".route(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .filter(|path| *path != "/login")
        .collect();
    let mut known: Vec<&str> = root["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    routes.sort_unstable();
    known.sort_unstable();
    assert_eq!(routes, known);

    let server = Running::start(Config::loopback(0)).await;
    for parameter in root["paths"]["/v1/detect"]["post"]["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        let value = match name {
            "size" => "128x128",
            "fit" => "stretch",
            "resize" => "cpu-bilinear",
            "unit" => "cpu",
            "hands" | "body" | "mirrored" => "true",
            _ => "0.5",
        };
        let path = format!("/v1/detect?{name}={value}");
        let answer = server.request("POST", &path, &[("Content-Type", "image/jpeg")], &jpeg(32, 32)).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
}
