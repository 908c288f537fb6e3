//! Draws relative error against bits per weight: what is evenly spaced on the left, everything else on the right.

use crate::labels::{FONT, Labels};
use crate::schemes::LINEAR;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::ops::Range;
use std::path::Path;

const SIZE: (u32, u32) = (1240, 640);
/// How much of the width the lines have; names need the rest.
const LEFT: u32 = 520;
const BITS: Range<f64> = 0.0..10.4;
/// Where a scheme lies.
pub struct Point {
    pub series: &'static str,
    pub name: String,
    pub bits: f64,
    pub error: f64,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

pub fn draw(path: &Path, points: &[Point]) -> Drawn {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (left, right) = root.split_horizontally(LEFT);
        let errors = points.iter().map(|point| point.error);
        let (least, most) = errors.fold((1.0_f64, 0.0_f64), |(a, b), e| (a.min(e), b.max(e)));
        let errors = 0.8 * least..1.2 * most;
        lines(&left, points, errors.clone())?;
        named(&right, points, errors)?;
        root.present()?;
    }
    Ok(std::fs::write(path, svg)?)
}

macro_rules! chart {
    ($area:expr, $caption:expr, $errors:expr) => {{
        let mut chart = ChartBuilder::on($area)
            .caption($caption, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(58)
            .build_cartesian_2d(BITS, $errors.log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(11)
            .x_label_formatter(&|bits| format!("{bits:.0}"))
            .x_desc("bits per weight, scales counted")
            .y_desc("relative error (logarithmic)")
            .y_label_formatter(&|error| format!("{} %", 100.0 * error))
            .draw()?;
        chart
    }};
}

macro_rules! legend {
    ($chart:expr) => {
        $chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .margin(14)
            .label_font(("sans-serif", FONT))
            .background_style(TRANSPARENT)
            .border_style(TRANSPARENT)
            .draw()?;
    };
}

/// The evenly spaced, a line for each granularity.
fn lines(area: &Area<'_>, points: &[Point], errors: Range<f64>) -> Drawn {
    let mut chart = chart!(area, "Evenly spaced: Linear, 2 to 8 bits", errors);
    for (number, (series, _)) in LINEAR.iter().enumerate() {
        let (colour, symmetric) = (colour(number % 5), number < 5);
        let line = points.iter().filter(|point| point.series == *series);
        let line: Vec<_> = line.map(|point| (point.bits, point.error)).collect();
        let style = colour.stroke_width(if symmetric { 2 } else { 1 });
        let drawn = if symmetric {
            chart.draw_series(LineSeries::new(line.clone(), style))?
        } else {
            chart.draw_series(DashedLineSeries::new(line.clone(), 5, 4, style))?
        };
        drawn.label(*series).legend(move |(x, y)| {
            let dot = Circle::new(
                (x + 9, y),
                3,
                if symmetric {
                    style.color.filled()
                } else {
                    style
                },
            );
            let line = PathElement::new(vec![(x, y), (x + 18, y)], style);
            EmptyElement::at((0, 0)) + line + dot
        });
        let fill = if symmetric { colour.filled() } else { style };
        chart.draw_series(line.into_iter().map(|at| Circle::new(at, 3, fill)))?;
    }
    legend!(chart);
    Ok(())
}

/// All others, each with its name, over two lines of the left to compare with.
fn named(area: &Area<'_>, points: &[Point], errors: Range<f64>) -> Drawn {
    let mut chart = chart!(
        area,
        "Others, beside Linear in groups of 128 (grey)",
        errors
    );
    let grey = RGBColor(0xb0, 0xb0, 0xb0);
    let mut labels = Labels::new(chart.plotting_area().get_pixel_range());
    for (series, dashed) in [
        ("symmetric, groups of 128", false),
        ("affine, groups of 128", true),
    ] {
        let line = points.iter().filter(|point| point.series == series);
        let line: Vec<_> = line.map(|point| (point.bits, point.error)).collect();
        for pair in line.windows(2) {
            labels.take_line(chart.backend_coord(&pair[0]), chart.backend_coord(&pair[1]));
        }
        if dashed {
            chart.draw_series(DashedLineSeries::new(line, 5, 4, grey.stroke_width(1)))?;
        } else {
            chart.draw_series(LineSeries::new(line, grey.stroke_width(2)))?;
        }
    }
    let lines: Vec<&str> = LINEAR.iter().map(|(series, _)| *series).collect();
    let points = points.iter().filter(|point| !lines.contains(&point.series));
    let points: Vec<_> = points
        .map(|point| (point, (point.bits, point.error)))
        .collect();
    for (_, at) in &points {
        labels.take_dot(chart.backend_coord(at));
    }
    let mut families: Vec<&str> = Vec::new();
    for (point, at) in points {
        let first = !families.contains(&point.series);
        if first {
            families.push(point.series);
        }
        let family = families.iter().position(|family| *family == point.series);
        let colour = colour(family.unwrap_or_default());
        let font = ("sans-serif", FONT).into_font().color(&colour);
        let (place, end) = labels.place(chart.backend_coord(&at), &point.name);
        let label = Text::new(point.name.clone(), place, font);
        let line = PathElement::new(vec![(0, 0), end], colour.mix(0.4));
        let dot = Circle::new((0, 0), 4, colour.filled());
        let drawn = chart.draw_series([EmptyElement::at(at) + line + dot + label])?;
        if first {
            drawn
                .label(point.series)
                .legend(move |at| Circle::new(at, 4, colour.filled()));
        }
    }
    legend!(chart);
    Ok(())
}

fn colour(number: usize) -> RGBColor {
    const COLOURS: [RGBColor; 7] = [
        RGBColor(0x40, 0x40, 0x40),
        RGBColor(0xb0, 0x30, 0x30),
        RGBColor(0x20, 0x60, 0xb0),
        RGBColor(0x20, 0x80, 0x50),
        RGBColor(0x90, 0x50, 0xa0),
        RGBColor(0xb0, 0x70, 0x10),
        RGBColor(0x10, 0x80, 0x90),
    ];
    COLOURS[number % COLOURS.len()]
}
