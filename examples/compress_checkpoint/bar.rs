//! A bar that shows how far a job is.

use indicatif::{ProgressBar, ProgressStyle};
use rarefy::recipe::Progress;
use std::ops::ControlFlow;

pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(crate) fn show(&self, progress: Progress<'_>) -> ControlFlow<()> {
        self.0.set_length(progress.total);
        self.0.set_position(progress.done);
        self.0.set_message(progress.name.to_owned());
        ControlFlow::Continue(())
    }

    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
