//! Upright bars, those of several series side by side.

use super::frame::{Frame, Mark};
use super::lines::told;
use super::svg::Svg;
use super::{Plate, Series, Theme};

/// The widest bar.
const WIDEST: f64 = 42.0;

/// A bar a value, from zero. A gap has none.
pub fn bars(plate: &Plate, theme: &Theme, labels: &[String], series: &[Series]) -> String {
    let mut svg = Svg::begin(plate, theme);
    let frame = Frame::draw(&mut svg, plate, theme, labels, (series, Mark::Bar));
    let many = series.len().max(1) as f64;
    let width = (frame.band() * 0.72 / many).min(WIDEST);
    for (number, one) in series.iter().enumerate() {
        for (place, value) in (0..one.values.len()).filter_map(|p| Some((p, one.at(p)?))) {
            let left = frame.x(place) - width * many / 2.0 + width * number as f64;
            let (zero, end) = (frame.y(0.0), frame.y(value));
            let size = (width * if many > 1.0 { 0.92 } else { 1.0 }, (zero - end).abs());
            let told = told(plate, labels, one, (place, value));
            svg.rect((left, zero.min(end)), size, theme.colour(number), &told);
        }
    }
    svg.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_a_value_beside_those_of_other_series() {
        let plate = Plate::new("b", "件数", "", "なし");
        let labels = ["月", "火", "水"].map(str::to_owned);
        let series = [
            Series::new("4xx", vec![Some(10.0), None, Some(0.0)]),
            Series::new("5xx", vec![Some(5.0), None, Some(-5.0)]),
        ];
        let svg = bars(&plate, &Theme::print(), &labels, &series);
        assert_eq!(svg.matches("<rect").count(), 4 + 2 + 2, "four bars, a gap, the legend: {svg}");
        assert!(
            svg.contains("<title>月 4xx 10</title>") && svg.contains("<title>水 5xx \u{2212}5")
        );
        assert!(svg.contains(">4xx</text>") && svg.contains(">5xx</text>"), "{svg}");
    }
}
