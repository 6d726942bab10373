//! Charts as SVG text: precision against recall, and confusion between classes.

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::confusion::Confusion;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluation::Evaluation;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const FONT: &str = "sans-serif";
/// Colours of more curves than this repeat with other strokes: adjacent hues could not be told apart.
const HUES: usize = 10;

/// Draws into a string; plotters' errors become ours.
fn draw(
    size: (u32, u32),
    paint: impl FnOnce(&Canvas<'_>) -> std::result::Result<(), Box<dyn std::error::Error>>,
) -> Result<String> {
    let mut svg = String::new();
    let done = {
        let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        canvas
            .fill(&WHITE)
            .map_err(Into::into)
            .and_then(|()| paint(&canvas))
            .and_then(|()| canvas.present().map_err(Into::into))
    };
    done.map_err(|e| Error::new(ErrorKind::Chart, format!("a chart could not be drawn: {e}")))?;
    Ok(svg)
}

/// Precision against recall at a least overlap of 0.5, one curve for each class that has objects. A curve ends at the
/// recall that all detections together reach.
///
/// # Errors
/// [`ErrorKind::Chart`] when the drawing library fails.
pub fn precision_recall(title: &str, evaluation: &Evaluation) -> Result<String> {
    const ROW: i32 = 24;
    draw((900, 600), |canvas| {
        let (plot, key) = canvas.split_horizontally(700);
        let mut chart = ChartBuilder::on(&plot)
            .caption(title, (FONT, 20))
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
            let beside = TextStyle::from((FONT, 14)).color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
            key.draw(&Text::new(format!("{} {precision:.2}", figures.name), (32, y), beside))?;
        }
        Ok(())
    })
}

/// The confusion matrix: rows are true classes, shaded by their share of the row.
///
/// # Errors
/// [`ErrorKind::Chart`] when the drawing library fails.
pub fn confusion(title: &str, confusion: &Confusion) -> Result<String> {
    const CELL: i32 = 34;
    const LEFT: i32 = 160;
    const TOP: i32 = 190;
    let count = confusion.counts.len() as i32;
    let size = ((LEFT + count * CELL + 20) as u32, (TOP + count * CELL + 20) as u32);
    let name = |i: usize, else_: &'static str| confusion.names.get(i).map_or(else_, String::as_str);
    draw(size, |canvas| {
        let middle = Pos::new(HPos::Center, VPos::Center);
        let text = |size: i32| TextStyle::from((FONT, size)).color(&BLACK);
        canvas.draw(&Text::new(title.to_owned(), (12, 10), text(20)))?;
        canvas.draw(&Text::new("rows: true, columns: found", (12, 36), text(14)))?;
        for (i, row) in confusion.counts.iter().enumerate() {
            let y = TOP + i as i32 * CELL;
            let beside = text(14).pos(Pos::new(HPos::Right, VPos::Center));
            canvas.draw(&Text::new(name(i, "nothing there").to_owned(), (LEFT - 8, y + CELL / 2), beside))?;
            // Rotated text turns its anchor with it: the bottom left one stands above the column.
            let above =
                TextStyle::from((FONT, 14).into_font().transform(FontTransform::Rotate270)).color(&BLACK);
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
                    let style = TextStyle::from((FONT, 13)).color(ink).pos(middle);
                    canvas.draw(&Text::new(n.to_string(), (x + CELL / 2, y + CELL / 2), style))?;
                }
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Detections, GroundTruth, Task, evaluate};

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
        let svg = precision_recall("hands", &evaluate(&truth(), &found, Task::Boxes)).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("like 1.00"), "{svg}");
        assert!(!svg.contains("fist"), "a class without objects has no curve");
    }

    #[test]
    fn names_are_escaped() {
        let matrix = Confusion::new(&truth(), &Detections::default(), |_| 0.5);
        let svg = confusion("hands", &matrix).unwrap();
        assert!(svg.contains("&lt;fist&gt;") && !svg.contains("<fist>"), "{svg}");
        assert!(svg.contains("nothing found"));
    }
}
