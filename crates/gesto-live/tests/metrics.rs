//! `/metrics` by the rules of OpenMetrics 1.0: what a scraper would refuse fails here.

#![forbid(unsafe_code)]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use gesto_live::Config;
use support::{Running, TestBackend, frame, jpeg, next_binary, next_text, send};

/// A metric family: its type, its unit, and its samples as (name, labels, value).
#[derive(Debug, Default)]
struct Family {
    kind: String,
    unit: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads the text; panics with the line that breaks a rule.
fn parse(text: &str) -> HashMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("the text ends with # EOF");
    let mut families: HashMap<String, Family> = HashMap::new();
    let mut current = String::new();
    let mut series = HashSet::new();
    for line in body.lines() {
        assert!(!line.trim().is_empty() && line.trim() == line, "no blank lines or spaces around: {line:?}");
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (word, name, says) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            if name != current {
                assert!(!families.contains_key(name), "{name} is interleaved with others");
                current = name.to_owned();
            }
            let family = families.entry(current.clone()).or_default();
            assert!(family.samples.is_empty(), "description after samples: {line}");
            match word {
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram"].contains(&says), "{line}");
                    family.kind = says.to_owned();
                }
                "UNIT" => {
                    assert!(name.ends_with(&format!("_{says}")), "the name ends with the unit: {line}");
                    family.unit = says.to_owned();
                }
                "HELP" => assert!(says.len() > 3, "{line}"),
                _ => panic!("unknown comment: {line}"),
            }
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(series.insert(key.to_owned()), "the same series twice: {line}");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let (name, labels) = match key.split_once('{') {
            Some((name, rest)) => (name, labels(rest.strip_suffix('}').expect(line))),
            None => (key, BTreeMap::new()),
        };
        let sound = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        assert!(name.chars().all(sound) && !name.starts_with(|c: char| c.is_ascii_digit()), "{line}");
        let family = families.get_mut(&current).expect("a family before its samples");
        let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} is not of {current}"));
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total", "_created"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count", "_created"],
            kind => panic!("{current} is {kind:?}"),
        };
        assert!(allowed.contains(&suffix), "{line} is no sample of a {}", family.kind);
        assert!(family.kind == "gauge" || value >= 0.0, "{line} is negative");
        family.samples.push((name.to_owned(), labels, value));
    }
    families
}

fn labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
        // No label of ours holds a quote or a backslash, so none has to be unescaped.
        let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("{text}"));
        assert!(!value.contains(['\\', '\n']), "{text}");
        assert!(labels.insert(name.to_owned(), value.to_owned()).is_none(), "{text}");
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    labels
}

/// Buckets grow, the last is all, and sum and count fit them.
fn check_histogram(name: &str, family: &Family) {
    let mut of_series: HashMap<BTreeMap<String, String>, Vec<(f64, f64)>> = HashMap::new();
    let mut counts = HashMap::new();
    let mut sums = HashMap::new();
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        if sample.ends_with("_bucket") {
            let bound = labels.remove("le").expect("a bucket has a bound");
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            of_series.entry(labels).or_default().push((bound, *value));
        } else if sample.ends_with("_count") {
            counts.insert(labels, *value);
        } else if sample.ends_with("_sum") {
            sums.insert(labels, *value);
        }
    }
    assert_eq!(of_series.len(), counts.len(), "{name}");
    for (labels, buckets) in of_series {
        assert!(
            buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1),
            "{name} {labels:?}: {buckets:?}"
        );
        let (last, all) = buckets[buckets.len() - 1];
        assert!(last.is_infinite() && all == counts[&labels], "{name} {labels:?}");
        assert!((sums[&labels] > 0.0) == (all > 0.0) || sums[&labels] == 0.0, "{name} {labels:?}");
    }
}

#[tokio::test]
async fn the_text_is_open_metrics_and_tells_what_happened() {
    let server = Running::with(Config::loopback(0), TestBackend::new(Duration::from_millis(2))).await;
    let mut ws = server.open().await;
    next_text(&mut ws).await;
    for id in 0..5 {
        send(&mut ws, frame(id, 8, 8, 9)).await;
        next_binary(&mut ws).await;
    }
    for (body, status) in [(&jpeg(16, 16)[..], 200), (b"no picture", 422)] {
        let answer = server.request("POST", "/v1/detect", &[("Content-Type", "image/jpeg")], body).await;
        assert!(answer.status == status || answer.status == 415, "{}", answer.text());
    }
    assert_eq!(
        server.request("GET", "/v1/info", &[("Origin", "http://evil.example")], b"").await.status,
        403
    );

    let answer = server.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let families = parse(&answer.text());
    for (name, family) in &families {
        assert!(name.starts_with("gesto_"), "{name}");
        if family.kind == "histogram" {
            assert_eq!(family.unit, "seconds", "{name}");
            check_histogram(name, family);
        }
    }
    let value = |family: &str, sample: &str, label: &str| {
        let samples = &families[family].samples;
        let found = samples.iter().find(|(name, labels, _)| {
            name == sample && (label.is_empty() || labels.values().any(|value| value == label))
        });
        found.unwrap_or_else(|| panic!("{sample} {label}: {samples:?}")).2
    };
    assert_eq!(value("gesto_frames", "gesto_frames_total", ""), 6.0);
    assert_eq!(value("gesto_refused_frames", "gesto_refused_frames_total", ""), 1.0);
    for (from, count) in [("stream", 5.0), ("request", 1.0), ("source", 0.0)] {
        assert_eq!(value("gesto_latency_seconds", "gesto_latency_seconds_count", from), count, "{from}");
    }
    assert_eq!(value("gesto_denied", "gesto_denied_total", "origin"), 1.0);
    assert_eq!(value("gesto_streams", "gesto_streams", ""), 1.0);
    assert!(value("gesto_connections", "gesto_connections", "") >= 1.0);
    assert!(value("gesto_resident_memory_bytes", "gesto_resident_memory_bytes", "") > 1e6);
    // The test's detector resizes within its model; the request's picture was unpacked before its turn.
    for (stage, count) in [
        ("queue", 6.0),
        ("unpack", 5.0),
        ("resize", 0.0),
        ("model", 6.0),
        ("decode", 6.0),
        ("nms", 6.0),
        ("total", 6.0),
    ] {
        assert_eq!(value("gesto_stage_seconds", "gesto_stage_seconds_count", stage), count, "{stage}");
    }
}

#[tokio::test]
async fn every_series_is_there_before_its_first_event() {
    let server = Running::start(Config::loopback(0)).await;
    let text = server.get("/metrics").await.text();
    parse(&text);
    for series in [
        "gesto_dropped_frames_total{reason=\"newer\"} 0",
        "gesto_dropped_frames_total{reason=\"rate\"} 0",
        "gesto_dropped_frames_total{reason=\"busy\"} 0",
        "gesto_dropped_frames_total{reason=\"slow_client\"} 0",
        "gesto_denied_total{reason=\"token\"} 0",
        "gesto_denied_total{reason=\"connections\"} 0",
        "gesto_latency_seconds_count{from=\"stream\"} 0",
        "gesto_latency_seconds_count{from=\"source\"} 0",
        "gesto_stage_seconds_count{stage=\"resize\"} 0",
    ] {
        assert!(text.contains(series), "{series} in\n{text}");
    }
}
