//! Whatever is wrong, the answer is one clear line, exit code 2, and soon.

use std::fs;
use std::path::Path;

use super::hostile;
use super::program::{Outcome, finish, gesto, run, sample};

/// A folder of hostile files, an empty folder and a sound picture, for as long as the value lives.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    hostile::write_all(folder.path());
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::create_dir(folder.path().join("texts")).unwrap();
    fs::write(folder.path().join("texts/readme.txt"), "no picture").unwrap();
    fs::copy(sample("astronaut.png"), folder.path().join("good.png")).unwrap();
    folder
}

/// One line that begins with the program's name, `code`, and no trace of a panic. Gives the complaint, if any.
fn complaint(outcome: &Outcome, code: i32) -> Result<(), String> {
    let Outcome { code: got, stderr, .. } = outcome;
    if *got != Some(code) {
        return Err(format!("exit code {got:?} instead of {code}; it said {stderr:?}"));
    }
    let lines: Vec<&str> = stderr.lines().collect();
    let [line] = lines.as_slice() else { return Err(format!("{} lines: {stderr:?}", lines.len())) };
    if !line.starts_with("gesto: ") || line.len() < 20 || line.len() > 400 {
        return Err(format!("not a clear line: {line:?}"));
    }
    if line.contains("panicked") || line.contains("unwrap") || line.contains("RUST_BACKTRACE") {
        return Err(format!("a panic: {line:?}"));
    }
    Ok(())
}

#[test]
fn each_gives_one_line_and_code_2() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let good = at("good.png");

    // Inputs, each on its own.
    let mut cases: Vec<(String, Vec<String>)> = Vec::new();
    let mut inputs: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|end| end != "safetensors") && !path.ends_with("good.png"))
        .map(|path| path.display().to_string())
        .collect();
    inputs.extend(
        ["no-such-file.png", "no-such-folder/", "no-such-*.png", "/dev/null", "", "-"].map(String::from),
    );
    inputs.push(at("texts"));
    inputs.push(at("texts/readme.txt"));
    inputs.push(at("empty/*.png"));
    inputs.push(at("good.png/inside.png"));
    for input in inputs {
        cases.push((format!("input {input}"), vec!["detect".into(), input]));
    }

    // Model files.
    let mut models: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .map(|path| path.display().to_string())
        .collect();
    models.extend([at("empty"), at("good.png"), at("no-such.safetensors"), "/dev/null".into()]);
    for model in models {
        cases.push((
            format!("model {model}"),
            vec!["detect".into(), good.clone(), "--model".into(), model.clone()],
        ));
        cases.push((
            format!("info of {model}"),
            ["model", "info", "--model", &model].map(String::from).into(),
        ));
    }

    // Flags.
    for flags in [
        "--size 321x224",
        "--size 0x0",
        "--size 320",
        "--size axb",
        "--size 320x224x3",
        "--size -32x32",
        "--size 65536x65536",
        "--size 99999999999999999999x32",
        "--size=",
        "--fit sideways",
        "--threads 0",
        "--threads many",
        "--threads 1000000",
        "--conf-hand 1.5",
        "--conf-hand NaN",
        "--conf-body -1",
        "--conf-body 30%",
        "--iou-hand inf",
        "--iou-body 2",
        "--no-such-flag",
        "--quiet --verbose",
        "--json",
    ] {
        let mut arguments = vec!["detect".to_owned(), good.clone()];
        arguments.extend(flags.split(' ').map(String::from));
        cases.push((flags.to_owned(), arguments));
    }
    cases.push(("no input".into(), vec!["detect".into()]));
    cases.push(("no such command".into(), vec!["detekt".into()]));
    cases.push(("no such shell".into(), vec!["completions".into(), "dos".into()]));
    cases.push(("odd size".into(), ["model", "info", "--size", "3x3"].map(String::from).into()));
    cases.push(("manual into a file".into(), vec!["man".into(), at("good.png")]));

    // Outputs that cannot be written, or must not be.
    for flag in ["--json", "--csv", "--coco", "--coco-people"] {
        for target in [at("no/such/folder/out"), at("empty"), good.clone(), at("good.png/out")] {
            cases
                .push((format!("{flag} {target}"), vec!["detect".into(), good.clone(), flag.into(), target]));
        }
    }
    for target in [at("good.png/out"), good.clone()] {
        cases
            .push((format!("--save {target}"), vec!["detect".into(), good.clone(), "--save".into(), target]));
    }
    let own = folder.path().display().to_string();
    cases.push(("--save over the input".into(), vec!["detect".into(), good.clone(), "--save".into(), own]));
    if Path::new("/dev/full").exists() {
        cases.push(("full disk".into(), ["detect", &good, "--json", "/dev/full"].map(String::from).into()));
    }
    let coco = ["detect", &good, "--coco", &at("results.json"), "--coco-images", &at("noise")];
    cases.push(("annotations of noise".into(), coco.map(String::from).into()));

    assert!(cases.len() >= 30);
    let before = fs::read(folder.path().join("good.png")).unwrap();
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|(name, arguments)| {
            let outcome = run(arguments);
            let complaint = complaint(&outcome, 2).err().or_else(|| {
                (!outcome.stdout.is_empty()).then(|| format!("results in spite of it: {:?}", outcome.stdout))
            });
            complaint.map(|complaint| format!("{name}: {complaint}"))
        })
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
    assert_eq!(before, fs::read(folder.path().join("good.png")).unwrap(), "an input was changed");
}

#[test]
fn hostile_bytes_on_standard_input() {
    let folder = folder();
    for name in ["huge.png", "half.png", "noise", "huge.gif", "huge.y4m", "noise.mjpeg", "empty.png"] {
        let bytes = fs::read(folder.path().join(name)).unwrap();
        let outcome = finish(gesto().args(["detect", "-", "--size", "64x64"]), &bytes);
        complaint(&outcome, 2).unwrap_or_else(|complaint| panic!("{name}: {complaint}"));
    }
}

#[test]
fn a_broken_input_in_a_batch_is_skipped() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let arguments = [at("empty.png"), at("good.png"), at("huge.png"), "no-such.png".into(), at("good.png")];
    let outcome = finish(gesto().args(["detect", "--size", "64x64", "--json", "-"]).args(&arguments), b"");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let sources: Vec<_> = outcome.lines().iter().map(|line| line["source"].clone()).collect();
    assert_eq!(sources, [at("good.png"), at("good.png")]);
    let complaints: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    for (line, name) in complaints.iter().zip(["empty.png", "huge.png", "no-such.png"]) {
        assert!(line.starts_with("gesto: ") && line.contains(name), "{line}");
    }
}

#[test]
fn a_name_with_a_line_break_stays_on_one_line() {
    complaint(&run(&["detect", "two\nlines.png"]), 2).unwrap();
}

#[test]
fn without_ffmpeg_the_package_is_named() {
    let folder = folder();
    let clip = folder.path().join("noise.mp4");
    let outcome = finish(gesto().arg("detect").arg(&clip).env("PATH", folder.path()), b"");
    complaint(&outcome, 2).unwrap();
    assert!(outcome.stderr.contains("ffmpeg") && outcome.stderr.contains("install"), "{}", outcome.stderr);
}

#[cfg(unix)]
#[test]
fn a_token_that_is_no_text_opens_no_server_without_one() {
    use std::os::unix::ffi::OsStrExt;
    let mut command = gesto();
    command.args(["live", "--listen", "127.0.0.1:0"]);
    command.env("GESTO_TOKEN", std::ffi::OsStr::from_bytes(b"0123456789abcdef\xff"));
    let outcome = finish(&mut command, b"");
    complaint(&outcome, 2).unwrap();
    assert!(outcome.stderr.contains("GESTO_TOKEN") && outcome.stdout.is_empty(), "{outcome:?}");
}
