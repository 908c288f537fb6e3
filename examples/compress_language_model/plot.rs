//! Draws perplexity against bytes.

use crate::judge::Stage;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

const SIZE: (u32, u32) = (820, 480);

/// One point a stage, the smaller and the lower the better.
pub fn draw(path: &Path, stages: &[Stage]) -> Result<(), Box<dyn Error>> {
    let sizes = range(stages, |stage| stage.bytes as f64);
    let perplexities = range(stages, |stage| stage.perplexity);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let margin = 0.06 * (perplexities.1 - perplexities.0).max(0.1);
        let mut chart = ChartBuilder::on(&root)
            .caption("A language model, compressed", ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(
                (0.7 * sizes.0..1.8 * sizes.1).log_scale(),
                perplexities.0 - margin..perplexities.1 + 2.0 * margin,
            )?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("bytes as stored (logarithmic)")
            .y_desc("test perplexity")
            .x_label_formatter(&|bytes| format!("{:.0} kB", bytes / 1000.0))
            .draw()?;
        for stage in stages {
            let at = (stage.bytes as f64, stage.perplexity);
            let colour = colour(stage.name);
            chart.draw_series([Circle::new(at, 5, colour.filled())])?;
            chart.draw_series([EmptyElement::at(at)
                + Text::new(
                    stage.name,
                    (8, -14),
                    ("sans-serif", 13).into_font().color(&colour),
                )])?;
        }
        root.present()?;
    }
    Ok(std::fs::write(path, svg)?)
}

fn range(stages: &[Stage], value: impl Fn(&Stage) -> f64) -> (f64, f64) {
    let values = stages.iter().map(value);
    values.fold((f64::INFINITY, 0.0), |(least, most), value| {
        (value.min(least), value.max(most))
    })
}

fn colour(name: &str) -> RGBColor {
    match name {
        "teacher" => RGBColor(0x40, 0x40, 0x40),
        "student_hard" => RGBColor(0xb0, 0x30, 0x30),
        "student_distilled" | "dense_continued" => RGBColor(0x20, 0x60, 0xb0),
        "pruned_50" | "pruned_75" => RGBColor(0x20, 0x80, 0x50),
        _ => RGBColor(0x90, 0x50, 0xa0),
    }
}
