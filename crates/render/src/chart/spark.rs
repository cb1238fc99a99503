//! A small line beside a number.

use super::axis::figure;
use super::lines::runs;
use super::svg::Svg;
use super::{Plate, Series, Theme};

/// The room around the line.
const AROUND: f64 = 3.0;

/// The values from their lowest to their highest, the last with a dot. Without axis or words.
pub fn spark(plate: &Plate, theme: &Theme, values: &[Option<f64>]) -> String {
    let mut svg = Svg::begin(plate, theme);
    let series = Series { name: String::new(), values: values.to_vec() };
    let runs = runs(&series);
    let all = || runs.iter().flatten().map(|(_, value)| *value);
    let (low, high) = all().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
    let (across, down) = (plate.width - 2.0 * AROUND, plate.height - 2.0 * AROUND);
    let step = across / values.len().saturating_sub(1).max(1) as f64;
    let at = |place: usize, value: f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        (AROUND + step * place as f64, AROUND + down * (1.0 - share))
    };
    for run in &runs {
        let points: Vec<(f64, f64)> = run.iter().map(|(p, v)| at(*p, *v)).collect();
        match points.as_slice() {
            [alone] => svg.dot(*alone, 1.2, theme.colour(0), ""),
            points => svg.path(points, theme.colour(0), 1.4, ""),
        }
    }
    if let Some((place, value)) = runs.last().and_then(|run| run.last()) {
        let told = format!("{} {}", figure(*value), plate.unit);
        svg.dot(at(*place, *value), 2.2, theme.colour(0), told.trim_end());
    }
    svg.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reaches_from_the_lowest_to_the_highest_value() {
        let plate = Plate::new("s", "4週", "", "").sized(66.0, 26.0);
        let svg = spark(&plate, &Theme::print(), &[Some(5.0), Some(9.0), None, Some(7.0)]);
        assert!(svg.contains("d=\"M3 23L23 3\""), "{svg}");
        assert!(svg.contains("cx=\"63\" cy=\"13\" r=\"2.2\""), "{svg}");
        let flat = spark(&plate, &Theme::print(), &[Some(4.0), Some(4.0)]);
        assert!(flat.contains("d=\"M3 13L63 13\""), "{flat}");
        assert!(!spark(&plate, &Theme::print(), &[None]).contains("<circle"));
    }
}
