//! Lines over time.

use super::axis::figure;
use super::frame::{Frame, Mark};
use super::svg::Svg;
use super::{Plate, Series, Theme};

/// Each value has a dot where there are at most so many.
const MOST_DOTS: usize = 40;

/// A line a series. An empty label is not drawn; a gap breaks the line, a lone value is a dot.
pub fn lines(plate: &Plate, theme: &Theme, labels: &[String], series: &[Series]) -> String {
    let mut svg = Svg::begin(plate, theme);
    let frame = Frame::draw(&mut svg, plate, theme, labels, (series, Mark::Line));
    for (number, one) in series.iter().enumerate() {
        let colour = theme.colour(number);
        for run in runs(one) {
            let points: Vec<(f64, f64)> =
                run.iter().map(|(place, value)| (frame.x(*place), frame.y(*value))).collect();
            if points.len() > 1 {
                svg.path(&points, colour, 1.8, Theme::dashes(number));
            }
            if points.len() == 1 || one.values.len() <= MOST_DOTS {
                for ((place, value), at) in run.iter().zip(&points) {
                    svg.dot(*at, 2.2, colour, &told(plate, labels, one, (*place, *value)));
                }
            }
        }
    }
    svg.end()
}

/// The values without gaps between them: place and value.
pub fn runs(series: &Series) -> Vec<Vec<(usize, f64)>> {
    let mut runs: Vec<Vec<(usize, f64)>> = Vec::new();
    for (place, value) in (0..series.values.len()).filter_map(|p| Some((p, series.at(p)?))) {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|(before, _)| before + 1 == place) => {
                run.push((place, value));
            }
            _ => runs.push(vec![(place, value)]),
        }
    }
    runs
}

/// What a value says when pointed at.
pub fn told(plate: &Plate, labels: &[String], series: &Series, at: (usize, f64)) -> String {
    let label = labels.get(at.0).map_or("", String::as_str);
    let words = [label, &series.name, &figure(at.1), &plate.unit];
    words.iter().filter(|w| !w.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: Vec<Option<f64>>) -> String {
        let plate = Plate::new("one", "応答時間", "毎時の応答時間", "データなし").of("ミリ秒");
        let labels: Vec<String> = (0..values.len()).map(|n| format!("{n}時")).collect();
        lines(&plate, &Theme::print(), &labels, &[Series::new("p95", values)])
    }

    #[test]
    fn a_gap_breaks_the_line_and_is_never_a_zero() {
        let svg = chart(vec![Some(10.0), Some(20.0), None, Some(f64::NAN), Some(30.0)]);
        let strokes = svg.matches("stroke-width=\"1.8\"").count();
        assert_eq!(strokes, 1, "one line of two values, the last is alone: {svg}");
        assert_eq!(svg.matches("<circle").count(), 3);
        assert_eq!(svg.matches("<title>データなし</title>").count(), 1, "one gap of two places");
        assert!(svg.contains("<title>4時 p95 30 ミリ秒</title>"), "{svg}");
    }

    #[test]
    fn it_says_what_it_is_to_those_who_cannot_see_it() {
        let svg = chart(vec![Some(1.0)]);
        for wanted in [
            "role=\"img\"",
            "aria-labelledby=\"one-title one-desc\"",
            "<title id=\"one-title\">応答時間</title>",
            "<desc id=\"one-desc\">毎時の応答時間</desc>",
        ] {
            assert!(svg.contains(wanted), "{wanted} is missing in {svg}");
        }
    }

    #[test]
    fn nothing_at_all_says_so_once() {
        for values in [vec![], vec![None, None]] {
            let svg = chart(values);
            assert_eq!(svg.matches(">データなし</text>").count(), 1, "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn labels_are_thinned_where_there_is_no_room() {
        let svg = chart((0..168).map(|n| Some(f64::from(n))).collect());
        let shown = (0..168).filter(|n| svg.contains(&format!(">{n}時</text>"))).count();
        assert!((8..30).contains(&shown), "{shown} labels");
    }
}
