//! Charts as SVG: lines over a few values of something, and bars of parts.

use std::fmt::Write as _;

/// Told apart by people who see colours differently, too (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#000000", "#d55e00", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#cc79a7", "#999999",
];
const WIDTH: f64 = 760.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 175.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 52.0;
const LINES_HEIGHT: f64 = 420.0;
const BAR: f64 = 30.0;
/// Between two entries of a legend.
const LEGEND: f64 = 20.0;

/// Lines over the same few values; the figures on a scale of powers of ten.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What the values are.
    pub x: &'a str,
    /// The values.
    pub values: &'a [String],
    /// Each with its name; `None` where there is no figure.
    pub lines: &'a [(String, Vec<Option<f64>>)],
}

/// Bars of parts, each bar with a name.
#[derive(Debug)]
pub(super) struct Bars<'a> {
    /// What it shows.
    pub title: &'a str,
    /// The names of the parts.
    pub parts: &'a [&'a str],
    /// Each with its name.
    pub bars: &'a [(String, Vec<f64>)],
}

impl Lines<'_> {
    /// The picture; empty if there is no figure.
    #[must_use]
    pub(super) fn svg(&self) -> String {
        let figures = self
            .lines
            .iter()
            .flat_map(|(_, line)| line.iter().flatten());
        let figures = || figures.clone().copied().filter(|figure| *figure > 0.0);
        let (Some(low), Some(high)) = (
            figures().min_by(f64::total_cmp),
            figures().max_by(f64::total_cmp),
        ) else {
            return String::new();
        };
        // Some air, so that no line lies on the frame.
        let (low, high) = ((low / 1.3).log10(), (high * 1.3).log10());
        let bottom = LINES_HEIGHT - BOTTOM;
        let y = |figure: f64| bottom - (figure.log10() - low) / (high - low) * (bottom - TOP);
        let mut svg = begin(self.title, LINES_HEIGHT);
        for tick in ticks(low, high) {
            let (end, y) = (WIDTH - RIGHT, y(tick));
            line(&mut svg, (LEFT, y), (end, y), "#dddddd", 1.0);
            text(&mut svg, (LEFT - 8.0, y + 4.0), "end", &grouped(tick));
        }
        for (place, value) in self.values.iter().enumerate() {
            text(
                &mut svg,
                (self.place(place), bottom + 20.0),
                "middle",
                value,
            );
        }
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        text(&mut svg, (middle, LINES_HEIGHT - 12.0), "middle", self.x);
        for ((_, figures), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let places = figures.iter().enumerate();
            let points = places.filter_map(|(place, figure)| {
                let figure = figure.filter(|figure| *figure > 0.0)?;
                Some((self.place(place), y(figure)))
            });
            polyline(&mut svg, &points.collect::<Vec<_>>(), colour);
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    /// The names, in the order in which the lines end.
    fn legend(&self, svg: &mut String) {
        let mut names: Vec<_> = self.lines.iter().zip(COLOURS.iter().cycle()).collect();
        let last = |figures: &[Option<f64>]| figures.iter().rev().flatten().next().copied();
        names.sort_by(|((_, a), _), ((_, b), _)| {
            let (a, b) = (last(a).unwrap_or_default(), last(b).unwrap_or_default());
            b.total_cmp(&a)
        });
        let mut y = TOP + LEGEND;
        for ((name, _), colour) in names {
            let x = WIDTH - RIGHT + 16.0;
            line(svg, (x, y - 4.0), (x + 20.0, y - 4.0), colour, 2.5);
            text(svg, (x + 27.0, y), "start", name);
            y += LEGEND;
        }
    }

    fn place(&self, place: usize) -> f64 {
        let steps = float(self.values.len().saturating_sub(1).max(1));
        let inset = 24.0;
        let width = WIDTH - LEFT - RIGHT - 2.0 * inset;
        LEFT + inset + float(place) / steps * width
    }
}

impl Bars<'_> {
    /// The picture.
    #[must_use]
    pub(super) fn svg(&self) -> String {
        let left = 150.0;
        let sum = |parts: &[f64]| parts.iter().sum::<f64>();
        let sums = self.bars.iter().map(|(_, parts)| sum(parts));
        let longest = sums.max_by(f64::total_cmp).unwrap_or_default().max(1.0);
        let scale = (WIDTH - left - 70.0) / longest;
        let height = TOP + BAR * float(self.bars.len()) + LEGEND + 16.0;
        let mut svg = begin(self.title, height);
        let mut y = TOP;
        for (name, parts) in self.bars {
            text(&mut svg, (left - 8.0, y + 15.0), "end", name);
            let mut x = left;
            for (part, colour) in parts.iter().zip(COLOURS.iter().skip(1).cycle()) {
                let width = part * scale;
                let _ = writeln!(
                    svg,
                    r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="20" fill="{colour}"/>"#
                );
                x += width;
            }
            text(
                &mut svg,
                (x + 8.0, y + 15.0),
                "start",
                &grouped(sum(parts).round()),
            );
            y += BAR;
        }
        let mut x = left;
        for (part, colour) in self.parts.iter().zip(COLOURS.iter().skip(1).cycle()) {
            let _ = writeln!(
                svg,
                r#"<rect x="{x:.1}" y="{:.1}" width="12" height="12" fill="{colour}"/>"#,
                y + 6.0
            );
            text(&mut svg, (x + 18.0, y + 16.0), "start", part);
            x += 110.0;
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// On a background of its own: a page can be dark.
fn begin(title: &str, height: f64) -> String {
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<title>{title}</title>
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
"##,
        title = escaped(title)
    );
    let _ = writeln!(
        svg,
        r#"<text x="16" y="26" font-size="16" font-weight="bold">{}</text>"#,
        escaped(title)
    );
    svg
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = escaped(text);
    // Writing to a string does not fail.
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
    );
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str, width: f64) {
    let _ = writeln!(
        svg,
        r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}"/>"#
    );
}

fn polyline(svg: &mut String, points: &[(f64, f64)], colour: &str) {
    let list: Vec<_> = points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let list = list.join(" ");
    let _ = writeln!(
        svg,
        r#"<polyline points="{list}" fill="none" stroke="{colour}" stroke-width="2.5"/>"#
    );
    for (x, y) in points {
        let _ = writeln!(
            svg,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"#
        );
    }
}

/// 1, 2 and 5 times the powers of ten between two logarithms; the powers alone if there are many.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = if high - low > 3.0 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let mut ticks = Vec::new();
    let mut power = low.floor();
    while power <= high {
        ticks.extend(steps.iter().map(|step| step * 10_f64.powf(power)));
        power += 1.0;
    }
    ticks.retain(|tick| (low..=high).contains(&tick.log10()));
    ticks
}

/// A figure with commas between thousands.
pub(super) fn grouped(figure: f64) -> String {
    if figure < 10.0 && figure.fract() != 0.0 {
        return format!("{figure:.1}");
    }
    let digits = format!("{figure:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A small number; larger ones do not occur in a chart.
fn float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped() {
        let all = [0.5, 7.0, 999.0, 1_000.0, 1_234_567.4].map(grouped);
        assert_eq!(all, ["0.5", "7", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(1.5, 2.5), [50.0, 100.0, 200.0]);
        assert_eq!(ticks(0.0, 4.0), [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
    }

    #[test]
    fn lines_have_a_point_for_each_figure_and_names_in_the_order_they_end() {
        let values = ["1", "8"].map(str::to_owned);
        let lines = [
            ("slow".to_owned(), vec![Some(10.0), None]),
            ("a < b".to_owned(), vec![Some(20.0), Some(200.0)]),
        ];
        let chart = Lines {
            title: "Calls",
            x: "callers",
            values: &values,
            lines: &lines,
        };
        let svg = chart.svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.find("a &lt; b").unwrap() < svg.find("slow").unwrap());
        assert!(svg.ends_with("</svg>\n"));
        let empty = Lines {
            lines: &[],
            ..chart
        };
        assert_eq!(empty.svg(), "");
    }

    #[test]
    fn bars_have_a_box_for_each_part_and_their_sum() {
        let bars = [("raw".to_owned(), vec![1_000.0, 234.0])];
        let chart = Bars {
            title: "CPU",
            parts: &["caller", "worker"],
            bars: &bars,
        };
        let svg = chart.svg();
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 2);
        assert!(svg.contains("1,234"));
    }
}
