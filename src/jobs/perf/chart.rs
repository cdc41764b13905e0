//! Wall, merge and share, round by round.

use super::report::PerfReport;
use super::rounds::Round;
use crate::base::units::show_count;
use crate::observe::plot::{Chart, Line, Panel};

impl PerfReport {
    /// What came of the rounds, drawn.
    pub fn chart(&self) -> Chart {
        let line = |name: &str, of: &dyn Fn(&Round) -> f64| Line {
            name: name.to_owned(),
            points: (1..).zip(&self.measured.rounds).map(|(number, round)| (f64::from(number), of(round))).collect(),
        };
        let wall = self.wall_way();
        let wall = move |round: &Round| round.walls.get(wall).copied().unwrap_or(0.0);
        let merge = |round: &Round| self.merge_rate(&round.merge);
        let panel = |y_label: &str, lines: Vec<Line>| Panel { y_label: y_label.to_owned(), logarithmic: false, lines };
        Chart {
            title: format!(
                "{} records ({}), {}: {:.2} of the wall",
                show_count(self.settings.records),
                self.settings.shape.name(),
                self.settings.delivery.name(),
                self.share(),
            ),
            x_label: "round".to_owned(),
            x_counts: true,
            panels: vec![
                panel("written, records/s", vec![line("the wall", &wall), line("the merge", &merge)]),
                panel(
                    "merge, of the wall",
                    vec![line("share", &|round| super::figures::share(merge(round), wall(round)))],
                ),
                panel("fetch alone, records/s", vec![line("fetch", &|round| round.fetch)]),
            ],
        }
    }
}
