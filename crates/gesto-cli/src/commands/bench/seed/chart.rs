//! Bars of the seed's frames a second beside ours, with a logarithmic axis, as SVG or PNG.

use gesto_eval::charts::Font;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Row;

type Drawn = Result<(), Box<dyn std::error::Error>>;

const FONT: &str = "sans-serif";
const OURS: RGBColor = RGBColor(31, 119, 180);
const SEED: RGBColor = RGBColor(190, 190, 190);

/// Pixels: of a row, of a bar, of the names on the left, of the bars, of the whole picture's width, of the head.
const ROW: i32 = 26;
const BAR: i32 = 9;
const NAMES: i32 = 540;
const BARS: i32 = 520;
const WIDTH: i32 = NAMES + BARS + 110;
const TOP: i32 = 84;

/// The axis begins at ten frames a second.
const FIRST_DECADE: f64 = 1.0;

/// The bytes of a picture file below a title and the machine's name: PNG if so asked, SVG otherwise.
pub(super) fn draw(titles: &[String; 2], rows: &[Row], png: bool) -> anyhow::Result<Vec<u8>> {
    // Registers the typeface with the drawing library.
    Font::new(gesto_media::draw::FONT)?;
    let size = (WIDTH as u32, (TOP + ROW * rows.len() as i32 + 16) as u32);
    let failed = |why: Box<dyn std::error::Error>| anyhow::anyhow!("the chart could not be drawn: {why}");
    if png {
        let mut pixels = vec![0; size.0 as usize * size.1 as usize * 3];
        let canvas = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        paint(&canvas, titles, rows).map_err(failed)?;
        drop(canvas);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, size.0, size.1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        return Ok(file);
    }
    let mut svg = String::new();
    paint(&SVGBackend::with_string(&mut svg, size).into_drawing_area(), titles, rows).map_err(failed)?;
    Ok(svg.into_bytes())
}

fn paint<B: DrawingBackend>(canvas: &DrawingArea<B, Shift>, titles: &[String; 2], rows: &[Row]) -> Drawn
where
    B::ErrorType: 'static,
{
    canvas.fill(&WHITE)?;
    let style =
        |size: i32, h: HPos| TextStyle::from((FONT, size)).color(&BLACK).pos(Pos::new(h, VPos::Center));
    let [title, machine] = titles.clone();
    canvas.draw(&Text::new(title, (12, 16), style(16, HPos::Left)))?;
    canvas.draw(&Text::new(machine, (12, 36), style(12, HPos::Left)))?;
    let most = rows.iter().flat_map(|row| [row.fps, row.seed_fps]).flatten().fold(1e4, f64::max);
    let decades = most.log10().ceil() - FIRST_DECADE;
    let x = |fps: f64| {
        let share = ((fps.log10() - FIRST_DECADE) / decades).clamp(0.004, 1.0);
        NAMES + (share * f64::from(BARS)) as i32
    };
    let bottom = TOP + ROW * rows.len() as i32;
    for decade in 0..=decades as i32 {
        let fps = 10f64.powi(decade + FIRST_DECADE as i32);
        let at = NAMES + (f64::from(decade) / decades * f64::from(BARS)) as i32;
        canvas.draw(&PathElement::new(vec![(at, TOP - 6), (at, bottom)], RGBColor(225, 225, 225)))?;
        canvas.draw(&Text::new(format!("{fps:.0}"), (at, TOP - 14), style(11, HPos::Center)))?;
    }
    for (at, colour, what) in [
        (NAMES, OURS, "gesto, frames a second"),
        (NAMES + 200, SEED, "the iPhone system that gesto rebuilds (iPhone 13)"),
    ] {
        canvas.draw(&Rectangle::new([(at, 48), (at + 12, 58)], colour.filled()))?;
        canvas.draw(&Text::new(what.to_owned(), (at + 18, 53), style(12, HPos::Left)))?;
    }
    for (row, top) in rows.iter().zip((0..).map(|i| TOP + ROW * i)) {
        let middle = top + ROW / 2;
        let name = format!("{:>2}  {}, {}, {}", row.row, row.name, row.unit, row.size);
        canvas.draw(&Text::new(name, (NAMES - 8, middle), style(12, HPos::Right)))?;
        let upper = middle - BAR;
        match row.fps {
            Some(fps) => {
                canvas.draw(&Rectangle::new([(NAMES, upper), (x(fps), middle)], OURS.filled()))?;
                let label = format!("{fps:.0}");
                canvas.draw(&Text::new(label, (x(fps) + 6, upper + BAR / 2), style(11, HPos::Left)))?;
            }
            None => {
                let label =
                    Text::new("not on this machine", (NAMES + 6, upper + BAR / 2), style(11, HPos::Left));
                canvas.draw(&label)?;
            }
        }
        if let Some(seed) = row.seed_fps {
            canvas.draw(&Rectangle::new([(NAMES, middle), (x(seed), middle + BAR)], SEED.filled()))?;
        }
    }
    canvas.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_name_and_its_bars() {
        let row = |name: &'static str, fps: Option<f64>| Row {
            row: 4,
            name,
            unit: "gpu".to_owned(),
            size: "320x224".to_owned(),
            fps,
            p50_ms: fps.map(|fps| 1e3 / fps),
            p99_ms: None,
            seed_fps: Some(600.0),
            skipped: None,
        };
        let rows = [row("fast", Some(123_456.0)), row("absent", None)];
        let titles = ["title", "a made up machine"].map(String::from);
        let svg = String::from_utf8(draw(&titles, &rows, false).unwrap()).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("fast") && svg.contains("123456"), "{svg}");
        assert!(svg.contains("title") && svg.contains("a made up machine"), "{svg}");
        assert!(svg.contains("absent") && svg.contains("not on this machine"));
        assert_eq!(svg.matches("#1F77B4").count(), 2, "one in the legend, one bar");
        assert_eq!(svg.matches("#BEBEBE").count(), 3, "one in the legend, two bars");
        let picture = draw(&titles, &rows, true).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert!(pixels.chunks(3).filter(|pixel| *pixel == [31, 119, 180]).count() > 500, "our bar is there");
    }
}
