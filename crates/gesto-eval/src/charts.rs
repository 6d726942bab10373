//! Charts as SVG text and as PNG: precision against recall, and confusion between classes.

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::confusion::Confusion;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluation::Evaluation;

const FAMILY: &str = "sans-serif";
/// Colours of more curves than this repeat with other strokes: adjacent hues could not be told apart.
const HUES: usize = 10;

type Painted = std::result::Result<(), Box<dyn std::error::Error>>;

/// The typeface that PNG charts are written in and all charts are measured with. To have one is to have it registered with
/// the drawing library, which finds fonts by a global name.
#[derive(Debug, Clone, Copy)]
pub struct Font(());

impl Font {
    /// Takes an OpenType file; the last one taken serves all charts.
    ///
    /// # Errors
    /// [`ErrorKind::Chart`] when the bytes are no such file.
    pub fn new(file: &'static [u8]) -> Result<Self> {
        plotters::style::register_font(FAMILY, FontStyle::Normal, file)
            .map(|()| Self(()))
            .map_err(|_| Error::new(ErrorKind::Chart, "the charts' font is no OpenType file"))
    }
}

/// A chart that can be drawn in either format.
#[derive(Debug, Clone, Copy)]
pub enum Chart<'a> {
    /// Precision against recall at a least overlap of 0.5, one curve for each class that has objects. A curve ends at
    /// the recall that all detections together reach.
    PrecisionRecall(&'a Evaluation),
    /// The confusion matrix: rows are true classes, shaded by their share of the row.
    Confusion(&'a Confusion),
}

impl Chart<'_> {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32) {
        match self {
            Self::PrecisionRecall(_) => (900, 600),
            Self::Confusion(confusion) => {
                let cells = confusion.counts.len() as i32 * CELL;
                ((LEFT + cells + 20) as u32, (TOP + cells + 20) as u32)
            }
        }
    }

    fn paint<B: DrawingBackend>(&self, title: &str, canvas: &DrawingArea<B, Shift>) -> Painted
    where
        B::ErrorType: 'static,
    {
        canvas.fill(&WHITE)?;
        match self {
            Self::PrecisionRecall(evaluation) => precision_recall(title, evaluation, canvas)?,
            Self::Confusion(matrix) => confusion(title, matrix, canvas)?,
        }
        Ok(canvas.present()?)
    }

    /// The chart as the text of an SVG file.
    ///
    /// # Errors
    /// [`ErrorKind::Chart`] when the drawing library fails.
    pub fn to_svg(&self, title: &str, _: Font) -> Result<String> {
        let mut svg = String::new();
        self.paint(title, &SVGBackend::with_string(&mut svg, self.size()).into_drawing_area())
            .map_err(failed)?;
        Ok(svg)
    }

    /// The chart as the bytes of a PNG file.
    ///
    /// # Errors
    /// [`ErrorKind::Chart`] when the drawing library or the encoder fails.
    pub fn to_png(&self, title: &str, _: Font) -> Result<Vec<u8>> {
        let (width, height) = self.size();
        let mut pixels = vec![0; width as usize * height as usize * 3];
        let canvas = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        self.paint(title, &canvas).map_err(failed)?;
        drop(canvas);
        encode(&pixels, width, height).map_err(|e| failed(Box::new(e)))
    }
}

fn failed(error: Box<dyn std::error::Error>) -> Error {
    Error::new(ErrorKind::Chart, format!("a chart could not be drawn: {error}"))
}

/// 8-bit RGB rows as a PNG file.
fn encode(pixels: &[u8], width: u32, height: u32) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}

fn precision_recall<B: DrawingBackend>(
    title: &str,
    evaluation: &Evaluation,
    canvas: &DrawingArea<B, Shift>,
) -> Painted
where
    B::ErrorType: 'static,
{
    const ROW: i32 = 24;
    let (plot, key) = canvas.split_horizontally(700);
    let mut chart = ChartBuilder::on(&plot)
        .caption(title, (FAMILY, 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart.configure_mesh().x_desc("recall").y_desc("precision").light_line_style(WHITE).draw()?;
    let with_objects = evaluation
        .categories
        .iter()
        .filter_map(|figures| figures.average_precision(Some(0.5)).map(|precision| (figures, precision)));
    for (i, (figures, precision)) in with_objects.enumerate() {
        let colour = HSLColor((i % HUES) as f64 / HUES as f64, 0.8, 0.42);
        let stroke = ShapeStyle::from(&colour).stroke_width(2);
        let points = figures.points();
        let y = 60 + i as i32 * ROW;
        let sample = vec![(0, y), (24, y)];
        // Every other round of colours is dashed.
        if i / HUES % 2 == 1 {
            chart.draw_series(DashedLineSeries::new(points, 6, 4, stroke))?;
            key.draw(&DashedPathElement::new(sample, 6, 4, stroke))?;
        } else {
            chart.draw_series(LineSeries::new(points, stroke))?;
            key.draw(&PathElement::new(sample, stroke))?;
        }
        let beside = TextStyle::from((FAMILY, 14)).color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        key.draw(&Text::new(format!("{} {precision:.2}", figures.name), (32, y), beside))?;
    }
    Ok(())
}

const CELL: i32 = 34;
const LEFT: i32 = 160;
const TOP: i32 = 190;

fn confusion<B: DrawingBackend>(title: &str, confusion: &Confusion, canvas: &DrawingArea<B, Shift>) -> Painted
where
    B::ErrorType: 'static,
{
    let name = |i: usize, else_: &'static str| confusion.names.get(i).map_or(else_, String::as_str);
    let middle = Pos::new(HPos::Center, VPos::Center);
    let text = |size: i32| TextStyle::from((FAMILY, size)).color(&BLACK);
    canvas.draw(&Text::new(title.to_owned(), (12, 10), text(20)))?;
    canvas.draw(&Text::new("rows: true, columns: found", (12, 36), text(14)))?;
    for (i, row) in confusion.counts.iter().enumerate() {
        let y = TOP + i as i32 * CELL;
        let beside = text(14).pos(Pos::new(HPos::Right, VPos::Center));
        canvas.draw(&Text::new(name(i, "nothing there").to_owned(), (LEFT - 8, y + CELL / 2), beside))?;
        // Rotated text turns its anchor with it: the bottom left one stands above the column.
        let above =
            TextStyle::from((FAMILY, 14).into_font().transform(FontTransform::Rotate270)).color(&BLACK);
        let above = above.pos(Pos::new(HPos::Left, VPos::Center));
        canvas.draw(&Text::new(
            name(i, "nothing found").to_owned(),
            (y - TOP + LEFT + CELL / 2, TOP - 8),
            above,
        ))?;
        let total = row.iter().sum::<u32>().max(1);
        for (j, &n) in row.iter().enumerate() {
            let x = LEFT + j as i32 * CELL;
            let share = f64::from(n) / f64::from(total);
            let fade = |full: u8| (255.0 - share * f64::from(255 - full)) as u8;
            let shade = RGBColor(fade(20), fade(80), fade(160));
            let corners = [(x, y), (x + CELL, y + CELL)];
            canvas.draw(&Rectangle::new(corners, shade.filled()))?;
            canvas.draw(&Rectangle::new(corners, RGBColor(215, 215, 215)))?;
            if n > 0 {
                let ink = if share > 0.5 { &WHITE } else { &BLACK };
                let style = TextStyle::from((FAMILY, 13)).color(ink).pos(middle);
                canvas.draw(&Text::new(n.to_string(), (x + CELL / 2, y + CELL / 2), style))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Detections, GroundTruth, Task, evaluate};

    fn font() -> Font {
        Font::new(include_bytes!("../../gesto-media/assets/Inter-SemiBold-latin.ttf")).unwrap()
    }

    fn truth() -> GroundTruth {
        GroundTruth::from_json(
            r#"{"images": [{"id": 1}], "categories": [{"id": 1, "name": "like"}, {"id": 2, "name": "<fist>"}],
                "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn curves_have_a_key_with_their_figure() {
        let found = r#"[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "score": 1}]"#;
        let found = Detections::from_json(found, &truth()).unwrap();
        let evaluation = evaluate(&truth(), &found, Task::Boxes);
        let svg = Chart::PrecisionRecall(&evaluation).to_svg("hands", font()).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("like 1.00"), "{svg}");
        assert!(!svg.contains("fist"), "a class without objects has no curve");
    }

    #[test]
    fn names_are_escaped() {
        let matrix = Confusion::new(&truth(), &Detections::default(), |_| 0.5);
        let svg = Chart::Confusion(&matrix).to_svg("hands", font()).unwrap();
        assert!(svg.contains("&lt;fist&gt;") && !svg.contains("<fist>"), "{svg}");
        assert!(svg.contains("nothing found"));
    }

    #[test]
    fn png_shows_the_shades_and_the_text() {
        let found = r#"[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "score": 1}]"#;
        let found = Detections::from_json(found, &truth()).unwrap();
        let matrix = Confusion::new(&truth(), &found, |_| 0.5);
        let file = Chart::Confusion(&matrix).to_png("hands", font()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let (width, height) = (reader.info().width as usize, reader.info().height as usize);
        assert_eq!((width, height), (160 + 3 * 34 + 20, 190 + 3 * 34 + 20));
        let mut pixels = vec![0; width * height * 3];
        reader.next_frame(&mut pixels).unwrap();
        let pixel = |x: usize, y: usize| <[u8; 3]>::try_from(&pixels[(y * width + x) * 3..][..3]).unwrap();
        // A corner of the cell "like found as like", all of its row, and of the empty one beside it.
        assert_eq!(pixel(160 + 4, 190 + 4), [20, 80, 160]);
        assert_eq!(pixel(160 + 34 + 4, 190 + 4), [255, 255, 255]);
        let dark = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
            rows.flat_map(|y| columns.clone().map(move |x| (x, y)))
                .filter(|&(x, y)| pixel(x, y)[0] < 100)
                .count()
        };
        assert!(dark(10..32, 12..70) > 50, "the title");
        assert!(dark(190..224, 100..152) > 20, "a row's name");
        assert!(dark(100..184, 160..194) > 20, "a column's name");
    }

    #[test]
    fn what_is_no_font_is_refused() {
        assert_eq!(Font::new(b"no font").unwrap_err().kind(), ErrorKind::Chart);
    }
}
