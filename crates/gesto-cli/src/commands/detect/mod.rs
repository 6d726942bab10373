//! `gesto detect`: pictures and clips in, gestures and people out.
//!
//! The way of the data: [`feed`] (decodes ahead) -> detector -> [`output`] (JSON, CSV, COCO) and [`save`] (draws and
//! encodes behind).

mod args;
mod feed;
mod output;
mod save;
mod stages;
mod summary;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gesto::record::Line;
use gesto::{Detections, Detector};
use gesto_media::source::{self, Info, Input, Kind, Shot};

pub(crate) use args::{Args, FitArg};

use crate::console::{self, Console, counted};
use crate::interrupt;
use crate::progress::Progress;
use crate::unit;
use crate::values::STDOUT;
use feed::{Feed, Message, Stream};
use output::{Item, Outputs};
use save::{Saved, Saving};
use stages::StageTimes;
use summary::Summary;

pub(crate) fn run(args: Args, console: &Console) -> anyhow::Result<ExitCode> {
    let inputs = source::expand(&args.inputs, false);
    refuse_overwriting(&args, &inputs)?;
    let detector = detector(&args)?;
    unit::tell_fallback(&detector, console);
    let outputs = Outputs::create(&args, detector.heads())?;
    let saving = args.save.as_deref().map(|target| Saving::start(target, inputs.len())).transpose()?;
    interrupt::install()?;

    let (height, width) = detector.size();
    console.detail(format!(
        "network input {height} x {width} on {}, {}",
        detector.unit(),
        counted(inputs.len() as u64, "input", "inputs")
    ));
    let readers = std::thread::available_parallelism().map_or(1, Into::into);
    let mut run = Run {
        detector,
        outputs,
        saving,
        talk: Talk::new(&args, console, inputs.len() as u64),
        times: args.show_timing.then(StageTimes::default),
        tally: Tally::default(),
    };
    let started = Instant::now();
    let mut feed = Feed::new(inputs, readers);
    while !interrupt::requested()
        && let Some(stream) = feed.next_stream()
    {
        run.input(&stream)?;
    }
    Ok(run.finish(started.elapsed())?)
}

fn detector(args: &Args) -> gesto::Result<Detector> {
    let mut builder = Detector::builder()
        .size(args.size.height, args.size.width)
        .turn(args.turn)
        .fit(args.fit.into())
        .confidence_hand(args.conf_hand)
        .confidence_body(args.conf_body)
        .iou_hand(args.iou_hand)
        .iou_body(args.iou_body);
    if let Some(threads) = args.threads {
        builder = builder.threads(threads);
    }
    if let Some(model) = &args.model {
        builder = builder.model_file(model);
    }
    if let Some(resize) = args.resize {
        builder = builder.resize(resize);
    }
    args.unit.apply(builder).build()
}

fn refuse_overwriting(args: &Args, inputs: &[gesto_media::Result<Input>]) -> anyhow::Result<()> {
    let read = inputs.iter().filter_map(|input| match input {
        Ok(Input::File(path)) => Some(path.clone()),
        _ => None,
    });
    let mut read: Vec<PathBuf> = read.collect();
    if let Some(target) = &args.save {
        // Copies are named after their inputs, with another ending at times: only a folder of their own is safe.
        output::refuse_mixing(target, &read)?;
    }
    read.extend([&args.model, &args.coco_images, &args.unit.ort_library].into_iter().flatten().cloned());
    let written = [&args.json, &args.csv, &args.coco, &args.coco_people, &args.save].into_iter().flatten();
    let mut written: Vec<_> = written.map(PathBuf::as_path).collect();
    crate::output::ensure_distinct(&written)?;
    written.retain(|path| *path != Path::new(STDOUT));
    crate::output::refuse_overwriting(&written, &read)
}

/// Everything that one run keeps.
struct Run<'a> {
    detector: Detector,
    outputs: Outputs,
    saving: Option<Saving>,
    talk: Talk<'a>,
    times: Option<StageTimes>,
    tally: Tally,
}

/// What has been done.
#[derive(Default)]
struct Tally {
    inputs: u64,
    failed: u64,
    frames: u64,
}

impl Run<'_> {
    /// Does one input; its own failures are told and counted, only a failing output is an error.
    fn input(&mut self, stream: &Stream) -> anyhow::Result<()> {
        self.tally.inputs += 1;
        let mut failed = false;
        let mut at_hand: Option<(Info, Summary)> = None;
        while let Some(message) = stream.next_message() {
            match message {
                Message::Opened(info) => {
                    self.talk.opened(&info);
                    if let Some(saving) = &self.saving {
                        saving.begin(info.clone());
                    }
                    let summary = Summary::new(&info.name, info.kind != Kind::Still);
                    at_hand = Some((info, summary));
                }
                Message::Frame(shot) => {
                    let (info, summary) = at_hand.as_mut().expect("a stream opens before its frames");
                    self.frame(info, shot, summary)?;
                }
                Message::Failed(error) => {
                    failed = true;
                    self.talk.problem(stream.name.as_deref(), &error);
                }
            }
        }
        if let Some((_, summary)) = at_hand {
            if let Some(saving) = &self.saving {
                saving.end();
                let reports = saving.reports();
                self.saved(reports);
            }
            if summary.frames() > 0 {
                self.talk.say(&summary)?;
            } else if !failed && !interrupt::requested() {
                failed = true;
                self.talk.problem(stream.name.as_deref(), &"holds no frame");
            }
        }
        self.tally.failed += u64::from(failed);
        Ok(())
    }

    fn frame(&mut self, info: &Info, shot: Shot, summary: &mut Summary) -> anyhow::Result<()> {
        let mut frame = shot.picture.as_frame()?;
        if info.kind != Kind::Still {
            frame = frame.at(Duration::from_secs_f64(shot.timestamp_ms.max(0.0) / 1e3));
        }
        let unit = self.detector.unit().clone();
        let detections: Detections = self.detector.detect(&frame)?;
        if *self.detector.unit() != unit {
            unit::tell_fallback(&self.detector, self.talk.console);
        }
        let line = Line::new(&info.name, shot.index, &frame, &detections);
        let Self { outputs, talk, .. } = self;
        talk.around(|| outputs.write(&Item { line: &line, detections: &detections }))?;
        summary.add(&line);
        if let Some(times) = &mut self.times {
            times.add(&detections.timing);
        }
        self.talk.progress.step();
        self.tally.frames += 1;
        if let Some(saving) = &self.saving {
            saving.frame(shot, detections);
        }
        Ok(())
    }

    fn saved(&mut self, reports: Vec<Saved>) {
        for Saved { name, outcome } in reports {
            match outcome {
                Ok(Some(path)) => self.talk.console.detail(format!("{name} -> {}", path.display())),
                Ok(None) => {}
                Err(error) => {
                    self.tally.failed += 1;
                    self.talk.problem(Some(&name), &error);
                }
            }
        }
    }

    fn finish(mut self, time: Duration) -> io::Result<ExitCode> {
        if let Some(saving) = self.saving.take() {
            let reports = saving.finish();
            self.saved(reports);
        }
        self.talk.progress.clear();
        let Tally { inputs, failed, frames } = self.tally;
        if inputs > 1 || frames > 1 {
            let seconds = time.as_secs_f64();
            let mut text = format!(
                "{}, {} in {seconds:.2} s ({:.0} fps)",
                counted(inputs, "input", "inputs"),
                counted(frames, "frame", "frames"),
                frames as f64 / seconds.max(1e-9)
            );
            if failed > 0 {
                text += &format!(", {failed} failed");
            }
            self.talk.say(&text)?;
        }
        if let Some(times) = self.times {
            self.talk.insist(&times.table())?;
        }
        Ok(match (interrupt::requested(), failed, frames) {
            (true, ..) => ExitCode::from(interrupt::EXIT_INTERRUPTED),
            (false, 0, _) => ExitCode::SUCCESS,
            (false, _, 0) => ExitCode::from(crate::EXIT_FAILED),
            (false, ..) => ExitCode::from(crate::EXIT_PARTLY),
        })
    }
}

/// What people see while the run goes on.
struct Talk<'a> {
    console: &'a Console,
    progress: Progress,
    /// Standard output carries results, so that words go to standard error.
    results_on_stdout: bool,
}

impl<'a> Talk<'a> {
    fn new(args: &Args, console: &'a Console, inputs: u64) -> Self {
        let to_stdout = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new(STDOUT));
        Self {
            console,
            progress: Progress::new(Some(inputs), console.quiet()),
            results_on_stdout: to_stdout(&args.json) || to_stdout(&args.csv),
        }
    }

    /// Every input counts as one step until it says that it has more.
    fn opened(&self, info: &Info) {
        match (info.kind, info.frames) {
            (_, Some(frames)) => self.progress.extend(frames.saturating_sub(1)),
            (Kind::Still, None) => {}
            (_, None) => self.progress.endless(),
        }
    }

    fn around<T>(&self, print: impl FnOnce() -> T) -> T {
        if self.results_on_stdout { self.progress.around(print) } else { print() }
    }

    fn problem(&self, name: Option<&str>, error: &dyn std::fmt::Display) {
        let error = error.to_string();
        self.progress.around(|| match name {
            Some(name) if !error.contains(name) => self.console.problem(format!("{name}: {error}")),
            _ => self.console.problem(&error),
        });
    }

    /// For people: left out when nobody asked and nobody looks.
    fn say(&self, text: &dyn std::fmt::Display) -> io::Result<()> {
        let unseen = self.results_on_stdout && !io::stderr().is_terminal();
        if self.console.quiet() || unseen { Ok(()) } else { self.insist(text) }
    }

    /// For people who asked for it.
    fn insist(&self, text: &dyn std::fmt::Display) -> io::Result<()> {
        self.progress.around(|| {
            if self.results_on_stdout {
                console::tell(text);
                return Ok(());
            }
            match console::print(text) {
                // Results are in files; a closed pipe only means that nobody reads these words.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                done => done,
            }
        })
    }
}
