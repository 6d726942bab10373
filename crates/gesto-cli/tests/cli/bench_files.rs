//! Files of long measurements: refused at once where they cannot be written, whole when they appear, and never lost.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::program::{finish, gesto, run, sample};

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What the program said, without what Mesa's driver says where there is no display.
fn own_words(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| !line.starts_with("error: XDG_RUNTIME_DIR")).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Without the check each of these would measure for minutes, or print what it found.
#[test]
fn what_cannot_be_written_is_refused_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let data = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/coco").join(name);
        path.display().to_string()
    };
    fs::create_dir(at("empty.svg")).unwrap();
    fs::write(at("file"), "kept").unwrap();
    let (people, results) = (data("people.json"), data("people-results.json"));
    let eval = ["eval", "--people", &people, "--results", &results];
    let samples = sample("astronaut.png").parent().unwrap().display().to_string();
    let quantize = ["model", "quantize", "--images", &samples];
    let commands: [(&[&str], &str); 9] = [
        (&["bench", "seed", "--frames", "1000000"], "--json"),
        (&["bench", "seed", "--frames", "1000000"], "--chart"),
        (&["bench", "model", "--frames", "1000000"], "--json"),
        (&["bench", "resize", "--frames", "1000000"], "--json"),
        (&["bench", "stages", "--frames", "1000000"], "--json"),
        (&eval, "--json"),
        (&eval, "--report"),
        (&["eval", "--people", &people, "--images", &samples, "--compare-resizes"], "--json"),
        (&quantize, "--out"),
    ];
    for (command, flag) in commands {
        for target in [at("empty.svg"), at("no/such/folder/out.svg"), at("file/out.svg")] {
            if (flag, &target) == ("--report", &at("empty.svg"))
                || (flag == "--report" && target.contains("/no/"))
            {
                // A folder is what it asks for, and it makes one.
                continue;
            }
            let out = run(&[command, &[flag, &target]].concat());
            assert_eq!(
                (out.code, out.stdout.as_str()),
                (Some(2), ""),
                "{command:?} {flag} {target}: {out:?}"
            );
            let lines: Vec<&str> = out.stderr.lines().collect();
            // The pictures of one evaluation are not those of its ground truth; that is told first.
            let other = command.contains(&"--compare-resizes") && lines[0].contains("ground truth");
            let clear = lines[0].starts_with("gesto: cannot write ") || other;
            assert!(lines.len() == 1 && clear, "{command:?} {flag} {target}: {lines:?}");
        }
    }
    assert_eq!(names(folder.path()), ["empty.svg", "file"]);
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "kept");

    let same = at("same.svg");
    let twice = run(&["bench", "seed", "--json", &same, "--chart", &same]);
    assert!(twice.code == Some(2) && twice.stderr.contains("named for two outputs"), "{twice:?}");
    let own = run(&["eval", "--people", &at("own.json"), "--results", &results, "--json", &at("own.json")]);
    assert_eq!(own.code, Some(2));
    fs::copy(&people, at("own.json")).unwrap();
    let own = run(&["eval", "--people", &at("own.json"), "--results", &results, "--json", &at("own.json")]);
    assert!(own.code == Some(2) && own.stderr.contains("would destroy it"), "{own:?}");
    assert_eq!(fs::read(at("own.json")).unwrap(), fs::read(&people).unwrap());
}

/// Every file that a command reads, named for one that it writes.
#[test]
fn no_command_destroys_what_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let data = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/coco").join(name);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/multi-n.safetensors");
    fs::copy(model, at("m.st")).unwrap();
    fs::write(at("lib.so"), "a library").unwrap();
    for (name, of) in [("h.json", "hands.json"), ("p.json", "people.json")] {
        fs::copy(data(of), at(name)).unwrap();
    }
    fs::create_dir(at("report")).unwrap();
    fs::copy(data("people-results.json"), at("report/people-results.json")).unwrap();
    let truth: Value = json(Path::new(&at("p.json")));
    let picture = truth["images"][0]["file_name"].as_str().unwrap();
    fs::create_dir(at("pictures")).unwrap();
    fs::copy(sample("astronaut.png"), folder.path().join("pictures").join(picture)).unwrap();
    fs::copy(sample("astronaut.png"), at("pictures/a.png")).unwrap();
    let picture = format!("pictures/{picture}");
    let contents = || -> Vec<_> {
        let files =
            ["m.st", "lib.so", "h.json", "p.json", "report/people-results.json", "pictures/a.png", &picture];
        files.iter().map(|name| fs::read(at(name)).unwrap()).collect()
    };
    let before = contents();
    for line in [
        "model export --model m.st --onnx m.st",
        "model export --model m.st --onnx ./m.st",
        "model quantize --images pictures --hands h.json --out h.json",
        "model quantize --images pictures --people p.json --out p.json",
        "model quantize --images pictures --out pictures/a.png",
        "model quantize --images pictures --pictures 1 --out PICTURE",
        "bench model --model m.st --json m.st",
        "bench stages --model m.st --json m.st",
        "bench stages --ort-library lib.so --json lib.so",
        "bench seed --model m.st --json m.st",
        "bench seed --model m.st --chart m.st",
        "bench seed --ort-library lib.so --json lib.so",
        "eval --people p.json --images pictures --json p.json",
        "eval --people p.json --images pictures --json PICTURE",
        "eval --people p.json --images pictures --model m.st --json m.st",
        "eval --people p.json --images pictures --ort-library lib.so --json lib.so",
        "eval --people p.json --results report/people-results.json --report report",
        "detect pictures/a.png --model m.st --json m.st",
        "detect pictures/a.png --ort-library lib.so --csv lib.so",
        "detect pictures/a.png --coco h.json --coco-images h.json",
    ] {
        let line = line.replace("PICTURE", &picture);
        let out = finish(gesto().current_dir(folder.path()).args(line.split(' ')), b"");
        assert_eq!((out.code, out.stdout.as_str()), (Some(2), ""), "{line}: {out:?}");
        assert!(
            out.stderr.lines().count() == 1 && out.stderr.contains("would destroy it"),
            "{line}: {out:?}"
        );
    }
    assert!(contents() == before);
    // A model may be replaced by its own copy with scales.
    let line = "model quantize --images pictures --pictures 1 --size 64x64 --model m.st --out m.st";
    let out = finish(gesto().current_dir(folder.path()).args(line.split(' ')), b"");
    assert_eq!(out.code, Some(0), "{out:?}");
    assert_ne!(contents()[0], before[0]);

    for line in [
        "detect pictures/a.png --json f --csv f",
        "detect pictures/a.png --json f --coco ./f",
        "detect pictures/a.png --coco f --coco-people f",
        "detect pictures/a.png --json f.png --save f.png",
        "detect pictures/a.png --json - --csv -",
        "eval --people p.json --results report/people-results.json --report new --json new/report.json",
    ] {
        fs::create_dir_all(at("new")).unwrap();
        let out = finish(gesto().current_dir(folder.path()).args(line.split(' ')), b"");
        assert_eq!((out.code, out.stdout.as_str()), (Some(2), ""), "{line}: {out:?}");
        assert!(
            out.stderr.lines().count() == 1 && out.stderr.contains("named for two outputs"),
            "{line}: {out:?}"
        );
    }
    assert!(!names(folder.path()).contains(&"f".to_owned()));
}

#[test]
fn figures_of_before_stay_until_there_are_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.jsonl");
    fs::write(&file, "before").unwrap();
    let measure = |adapter: &str, ways: &str| {
        let mut command = gesto();
        command.args(["bench", "resize", "--size", "64x64", "--frame", "64x64", "--threads", "1"]);
        command.args(["--frames", "10", "--resize", ways, "--json"]).arg(&file);
        command.env("VK_DRIVER_FILES", adapter).env("VK_ICD_FILENAMES", adapter);
        finish(&mut command, b"")
    };
    if cfg!(target_os = "linux") {
        assert_eq!(measure("/there/is/no/driver.json", "gpu-nearest").code, Some(2));
        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
    }
    assert_eq!(measure("/there/is/no/driver.json", "cpu-nearest").code, Some(0));
    assert_eq!(json(&file)["resize"], "cpu-nearest");
    assert_eq!(names(folder.path()), ["figures.jsonl"]);
}

#[test]
fn the_seeds_figures_name_their_machine() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("seed.json"), "x".repeat(100_000)).unwrap();
    let mut command = gesto();
    command.args(["bench", "seed", "--quick", "--rows", "13", "--threads", "1"]);
    command.arg("--json").arg(at("seed.json")).arg("--chart").arg(at("seed.svg"));
    let out = finish(&mut command, b"");
    assert_eq!(out.code, Some(0), "{out:?}");
    assert_eq!(names(folder.path()), ["seed.json", "seed.svg"]);

    let report = json(&at("seed.json"));
    assert_eq!((&report["complete"], report["rows"].as_array().unwrap().len()), (&true.into(), 4));
    let machine = &report["machine"];
    let processor = machine["processor"].as_str().unwrap();
    assert!(!processor.is_empty() && machine["processors"].as_u64() > Some(0), "{machine}");
    let version = run(&["--version"]).stdout;
    assert_eq!(version.trim(), format!("gesto {}", machine["gesto"].as_str().unwrap()));
    let units: Value = serde_json::from_str(&run(&["units", "--json"]).stdout).unwrap();
    let units = units["units"].as_array().unwrap();
    let best = units.iter().find(|unit| unit["detail"].as_str().unwrap().contains("used by default"));
    assert_eq!(machine["isa"], best.unwrap()["name"]);
    let gpu = units.iter().find(|unit| unit["unit"] == "gpu:0");
    assert_eq!(machine["gpu"].is_null(), gpu.is_none(), "{machine}");
    if let Some(gpu) = gpu {
        assert_eq!(machine["gpu"]["name"], gpu["name"]);
        let software = gpu["detail"].as_str().unwrap().starts_with("software");
        assert_eq!(machine["gpu"]["software"], software);
    }
    let chart = fs::read_to_string(at("seed.svg")).unwrap();
    let escaped = processor.replace('&', "&amp;");
    assert!(chart.contains(&escaped) && chart.contains(version.trim()), "{chart}");

    let table = |flags: &[&str]| {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/seed_table.py");
        Command::new("python3").arg(tool).arg(at("seed.json")).args(flags).output()
    };
    match table(&[]) {
        Err(why) => writeln!(std::io::stderr(), "skipped: tools/seed_table.py: python3: {why}").unwrap(),
        Ok(told) => {
            let told = String::from_utf8(told.stdout).unwrap();
            assert!(
                told.starts_with(processor) && told.contains(", 1 threads, 3 frames a figure:"),
                "{told}"
            );
            assert!(told.contains("| 13 | NMS on the CPU, both heads | cpu "), "{told}");
            let named = table(&["--machine", "My own"]).unwrap().stdout;
            assert!(named.starts_with(b"My own, 1 threads, 3 frames a figure:"), "{named:?}");
        }
    }
}

/// A chart or a table that cannot be written does not take the figures with it.
#[cfg(target_os = "linux")]
#[test]
fn what_was_measured_outlives_a_file_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink("/dev/full", at("full.svg")).unwrap();
    let quick = ["bench", "seed", "--quick", "--rows", "13", "--threads", "1"];
    let seed = |json: &str, chart: &str| {
        finish(gesto().args(quick).arg("--json").arg(at(json)).arg("--chart").arg(at(chart)), b"")
    };
    let chart = seed("seed.json", "full.svg");
    assert!(chart.code == Some(2) && chart.stderr.contains("cannot write"), "{chart:?}");
    assert_eq!(json(&at("seed.json"))["rows"].as_array().unwrap().len(), 4);
    let figures = seed("full.svg", "seed.svg");
    assert!(figures.code == Some(2) && figures.stderr.contains("cannot write"), "{figures:?}");
    assert!(fs::read_to_string(at("seed.svg")).unwrap().ends_with("</svg>\n"));

    let data = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/coco").join(name);
    let mut eval = gesto();
    eval.arg("eval").arg("--people").arg(data("people.json"));
    eval.arg("--results").arg(data("people-results.json")).args(["--json", "/dev/full"]);
    let eval = finish(&mut eval, b"");
    assert!(eval.code == Some(2) && eval.stderr.contains("cannot write /dev/full"), "{eval:?}");
    assert!(eval.stdout.contains("people, boxes"), "{eval:?}");
}

/// Starts `bench seed`, waits for its first row and gives the child with what is left of its output.
#[cfg(unix)]
fn after_one_row(json: &Path) -> (std::process::Child, BufReader<std::process::ChildStdout>) {
    let mut command = gesto();
    command.args(["bench", "seed", "--quick", "--rows", "12,13,14", "--threads", "1", "--json"]).arg(json);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut table = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..2 {
        table.read_line(&mut String::new()).unwrap();
    }
    (child, table)
}

#[cfg(unix)]
#[test]
fn rows_of_an_interrupted_benchmark_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed.json");
    for interrupted in [true, false] {
        let (mut child, mut table) = after_one_row(&file);
        if interrupted {
            assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
            table.read_to_string(&mut String::new()).unwrap();
        } else {
            // The reader of the table has seen enough.
            drop(table);
        }
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let code = if interrupted { 130 } else { 0 };
        assert_eq!((child.wait().unwrap().code(), own_words(&said)), (Some(code), vec![]));
        let report = json(&file);
        let rows = report["rows"].as_array().unwrap();
        assert!(!rows.is_empty() && rows.len() < 12, "{} rows", rows.len());
        assert_eq!(report["complete"], false);
        assert_eq!(names(folder.path()), ["seed.json"]);
    }
}

#[test]
fn a_graphics_processor_in_software_is_left_out_or_named() {
    let units: Value = serde_json::from_str(&run(&["units", "--json"]).stdout).unwrap();
    let gpu = units["units"].as_array().unwrap().iter().find(|unit| unit["unit"] == "gpu:0");
    let Some(gpu) = gpu.filter(|gpu| gpu["detail"].as_str().unwrap().starts_with("software")) else {
        return writeln!(std::io::stderr(), "skipped: software GPU: the best adapter here is none").unwrap();
    };
    let name = gpu["name"].as_str().unwrap();
    let why = format!("the best adapter {name} is software on the CPU (--software-gpu measures it)");
    let on = format!("({name}, software on the CPU)");
    let resize =
        ["bench", "resize", "--size", "64x64", "--frame", "64x64", "--threads", "1", "--frames", "10"];
    let stages = ["bench", "stages", "--unit", "gpu,cpu", "--size", "64x64", "--frames", "3"];

    let left_out = run(&[&resize[..], &["--resize", "gpu-nearest,cpu-nearest", "--json", "-"]].concat());
    assert_eq!(left_out.code, Some(0), "{left_out:?}");
    assert_eq!(own_words(&left_out.stderr), [format!("gpu-nearest skipped: {why}")]);
    assert_eq!(left_out.lines().len(), 1);
    assert!(left_out.lines()[0].get("adapter").is_none());
    let alone = run(&[&resize[..], &["--resize", "gpu-nearest"]].concat());
    assert!(alone.code == Some(2) && alone.stderr.contains(&why), "{alone:?}");
    let measured = run(&[&resize[..], &["--resize", "gpu-nearest", "--software-gpu"]].concat());
    let row = measured.stdout.lines().find(|line| line.starts_with("gpu-nearest")).unwrap();
    assert!(row.ends_with(&on), "{measured:?}");
    let measured =
        run(&[&resize[..], &["--resize", "gpu-nearest", "--software-gpu", "--json", "-"]].concat());
    let figure = &measured.lines()[0];
    assert_eq!((&figure["adapter"], &figure["software"]), (&name.into(), &true.into()));

    let left_out = run(&[&stages[..], &["--json", "-"]].concat());
    assert_eq!(left_out.code, Some(0), "{left_out:?}");
    let report: Value = serde_json::from_str(&left_out.stdout).unwrap();
    assert_eq!(
        (&report["units"][0]["skipped"], &report["units"][0]["software"]),
        (&why.into(), &true.into())
    );
    assert!(report["units"][1]["skipped"].is_null(), "{report}");
    let measured = run(&[&stages[..], &["--software-gpu"]].concat());
    assert!(measured.stdout.contains(&format!("gpu {on}, 64x64: ")), "{measured:?}");
    assert!(!measured.stdout.contains("skipped"), "{measured:?}");
}
