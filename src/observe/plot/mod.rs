//! Line charts as SVG, written by hand: panels one below the other, over one horizontal axis.
//!
//! What is drawn is plain: axes from zero (or powers of ten where values span them), round ticks, a light grid, a label on
//! each axis, a legend where a panel has several lines. Text from outside is escaped, and what XML cannot hold is left out.

mod scale;

use scale::Scale;
use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 56.0;
const PANEL: f64 = 240.0;
const BETWEEN: f64 = 44.0;
/// Up to so many points of a line get a dot each.
const DOTS_MAX: usize = 60;
/// Apart for most colour-blind eyes too (Okabe and Ito), and each with a dash of its own.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#333333"];
const DASHES: [&str; 3] = ["", "7 4", "2 3"];

/// A chart.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What runs from left to right.
    pub x_label: String,
    /// It is counted, so there is nothing between two whole numbers.
    pub x_counts: bool,
    /// From top to bottom.
    pub panels: Vec<Panel>,
}

/// What is drawn over one vertical axis.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    /// What the vertical axis counts, with its unit.
    pub y_label: String,
    /// Powers of ten are equally far apart; what is not above zero is not drawn then.
    pub logarithmic: bool,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A line through some points.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// From left to right; what is no number is not drawn.
    pub points: Vec<(f64, f64)>,
}

impl Chart {
    /// The chart as an SVG document.
    pub fn to_svg(&self) -> String {
        let height = TOP + self.panels.len() as f64 * (PANEL + BETWEEN) - BETWEEN + BOTTOM;
        let height = height.max(TOP + BOTTOM);
        let xs = self.panels.iter().flat_map(|panel| panel.shown()).map(|(x, _)| x);
        let x = Scale::linear(xs, LEFT, WIDTH - RIGHT, 10, if self.x_counts { 1.0 } else { 0.0 });
        let mut out = String::new();
        let title = escape(&self.title);
        let _ = write!(
            out,
            r##"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13" fill="#222">
<title>{title}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="28" font-size="17" font-weight="bold">{title}</text>
"##
        );
        for (index, panel) in self.panels.iter().enumerate() {
            let top = TOP + index as f64 * (PANEL + BETWEEN);
            panel.draw(&mut out, &x, top, index + 1 == self.panels.len());
        }
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n</svg>\n",
            at((LEFT + WIDTH - RIGHT) / 2.0),
            at(height - 14.0),
            escape(&self.x_label)
        );
        out
    }
}

impl Panel {
    fn shown(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|line| &line.points).copied().filter(|point| self.can_show(*point))
    }

    fn can_show(&self, (x, y): (f64, f64)) -> bool {
        x.is_finite() && y.is_finite() && (!self.logarithmic || y > 0.0)
    }

    fn draw(&self, out: &mut String, x: &Scale, top: f64, is_last: bool) {
        let (bottom, right) = (top + PANEL, WIDTH - RIGHT);
        let values = self.shown().map(|(_, y)| y);
        let y = match self.logarithmic {
            true => Scale::logarithmic(values, bottom, top),
            false => Scale::linear(values, bottom, top, 5, 0.0),
        };
        for (value, label) in y.ticks() {
            let at_y = at(y.place(value));
            let _ = write!(
                out,
                "<path d=\"M{LEFT} {at_y}H{right}\" stroke=\"#ddd\"/>\n<text x=\"{}\" y=\"{at_y}\" dy=\"0.35em\" text-anchor=\"end\">{label}</text>\n",
                LEFT - 8.0
            );
        }
        for (value, label) in x.ticks() {
            let at_x = at(x.place(value));
            let _ = writeln!(out, "<path d=\"M{at_x} {bottom}v-{PANEL}\" stroke=\"#eee\"/>");
            let _ = writeln!(out, "<path d=\"M{at_x} {bottom}v5\" stroke=\"#222\"/>");
            if is_last {
                let _ =
                    writeln!(out, "<text x=\"{at_x}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", bottom + 20.0);
            }
        }
        let _ = writeln!(out, "<path d=\"M{LEFT} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#222\"/>");
        let middle = at((top + bottom) / 2.0);
        let _ = writeln!(
            out,
            "<text x=\"20\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 20 {middle})\">{}</text>",
            escape(&self.y_label)
        );
        for (index, line) in self.lines.iter().enumerate() {
            let points: Vec<(f64, f64)> = line.points.iter().copied().filter(|point| self.can_show(*point)).collect();
            draw_line(out, &points, x, &y, Style::of(index));
        }
        if self.lines.len() > 1 {
            self.draw_legend(out, top);
        }
    }

    /// Above the panel, from the right: there is no line there.
    fn draw_legend(&self, out: &mut String, top: f64) {
        let y = top - 12.0;
        let mut x = WIDTH - RIGHT;
        for (index, line) in self.lines.iter().enumerate().rev() {
            let Style { colour, dash } = Style::of(index);
            // About as wide as these letters are on the average.
            x -= 7.2 * line.name.chars().count() as f64;
            let _ = writeln!(out, "<text x=\"{}\" y=\"{}\">{}</text>", at(x), at(y + 4.0), escape(&line.name));
            x -= 30.0;
            let _ = writeln!(
                out,
                "<path d=\"M{} {}h24\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>",
                at(x),
                at(y)
            );
            x -= 18.0;
        }
    }
}

#[derive(Clone, Copy)]
struct Style {
    colour: &'static str,
    dash: &'static str,
}

impl Style {
    fn of(index: usize) -> Self {
        Self { colour: COLOURS[index % COLOURS.len()], dash: DASHES[index / COLOURS.len() % DASHES.len()] }
    }
}

fn draw_line(out: &mut String, points: &[(f64, f64)], x: &Scale, y: &Scale, Style { colour, dash }: Style) {
    if points.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" stroke-linejoin=\"round\" stroke-dasharray=\"{dash}\" points=\""
    );
    for (index, (px, py)) in points.iter().enumerate() {
        let _ = write!(out, "{}{},{}", if index == 0 { "" } else { " " }, at(x.place(*px)), at(y.place(*py)));
    }
    out.push_str("\"/>\n");
    if points.len() <= DOTS_MAX {
        for (px, py) in points {
            let _ = writeln!(
                out,
                "<circle cx=\"{}\" cy=\"{}\" r=\"2.6\" fill=\"{colour}\"/>",
                at(x.place(*px)),
                at(y.place(*py))
            );
        }
    }
}

/// A place in the drawing, to a tenth of a pixel.
fn at(place: f64) -> String {
    let text = format!("{place:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Text as XML has it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)]) -> Chart {
        let line = |name: &str| Line { name: name.into(), points: points.to_vec() };
        Chart {
            title: "rate <of> \"it\" & \u{1b}[31m".into(),
            x_label: "seconds".into(),
            x_counts: false,
            panels: vec![
                Panel { y_label: "records/s".into(), lines: vec![line("x")], ..Panel::default() },
                Panel { y_label: "ms".into(), logarithmic: true, lines: vec![line("p50"), line("p99 <")] },
            ],
        }
    }

    /// Every tag is closed in the right order, and no bare sign is left in text.
    fn assert_well_formed(svg: &str) {
        let body = svg.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap();
        let mut open = Vec::new();
        for part in body.split('<').skip(1) {
            let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("an open tag: {part}"));
            assert!(!text.contains('>') && tag.matches('"').count() % 2 == 0, "{part}");
            for reference in text.split('&').skip(1) {
                assert!(
                    ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|name| reference.starts_with(name)),
                    "{part}"
                );
            }
            let name = |tag: &str| tag.trim_end_matches('/').split(' ').next().unwrap_or_default().to_owned();
            match tag.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed)),
                None if tag.ends_with('/') => {}
                None => open.push(name(tag)),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn a_chart_is_well_formed_whatever_is_drawn() {
        let many: Vec<(f64, f64)> = (0..500).map(|i| (f64::from(i) / 10.0, f64::from(i % 17) * 1e5)).collect();
        let odd = [(0.0, f64::NAN), (f64::INFINITY, 1.0), (1.0, -5.0), (2.0, 1e300), (3.0, 1e-300)];
        for points in [&[][..], &[(0.0, 0.0)], &[(5.0, 7.0)], &many, &odd] {
            let svg = chart(points).to_svg();
            assert_well_formed(&svg);
            assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains('\u{1b}'), "{svg}");
        }
        assert_well_formed(&Chart::default().to_svg());
    }

    #[test]
    fn text_is_escaped_and_axes_are_labelled() {
        let svg = chart(&[(0.0, 1.0), (10.0, 2_000_000.0)]).to_svg();
        assert!(svg.contains("<title>rate &lt;of&gt; &quot;it&quot; &amp; [31m</title>"), "{svg}");
        for label in ["seconds", "records/s", ">ms<", ">p50<", ">p99 &lt;<", ">1.5 M<", ">1 k<", ">8<"] {
            assert!(svg.contains(label), "{label}: {svg}");
        }
    }

    #[test]
    fn points_lie_within_the_panel_and_in_their_order() {
        let svg = chart(&[(0.0, 0.0), (1.0, 50.0), (2.0, 100.0)]).to_svg();
        let points = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        let places: Vec<(f64, f64)> = points
            .split(' ')
            .map(|point| point.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).unwrap())
            .collect();
        assert_eq!(places.len(), 3);
        assert!(places.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1), "to the right and up: {places:?}");
        assert!(places.iter().all(|(x, y)| (LEFT..=WIDTH - RIGHT).contains(x) && (TOP..=TOP + PANEL).contains(y)));
    }
}
