//! Lying bars with their names: the largest of something.

use super::axis::{Axis, figure};
use super::svg::{Anchor, Svg, TEXT, fit, width};
use super::{Plate, Theme, known};

/// The part of the width that names may take.
const NAMES: f64 = 0.42;
/// The highest bar.
const HIGHEST: f64 = 15.0;

/// A row a name, in the order given, with its bar and value.
pub fn ranking(plate: &Plate, theme: &Theme, rows: &[(String, Option<f64>)]) -> String {
    let mut svg = Svg::begin(plate, theme);
    let top = if plate.unit.is_empty() { 0.0 } else { TEXT + 8.0 };
    svg.words((2.0, TEXT + 1.0), Anchor::Start, &theme.faint, &plate.unit);
    let values = rows.iter().map(|(_, value)| known(*value));
    let axis = Axis::over(values.clone().flatten().map(|v| v.max(0.0)), 4);
    let highest = values.flatten().fold(0.0, f64::max);
    let names =
        rows.iter().map(|(name, _)| width(name)).fold(0.0, f64::max).min(plate.width * NAMES);
    let left = names + 10.0;
    let right = width(&figure(highest)).max(width(&plate.no_data)) + 8.0;
    let across = (plate.width - left - right).max(1.0);
    let band = (plate.height - top) / rows.len().max(1) as f64;
    for (place, (name, value)) in rows.iter().enumerate() {
        let middle = top + band * (place as f64 + 0.5);
        let base = middle + TEXT * 0.36;
        svg.words((names, base), Anchor::End, &theme.ink, &fit(name, names));
        let (words, length) = match known(*value) {
            // against the highest itself: there are no ticks
            Some(value) => {
                (figure(value), across * (axis.share(value) / axis.share(highest).max(1e-9)))
            }
            None => (plate.no_data.clone(), 0.0),
        };
        let high = (band * 0.66).min(HIGHEST);
        let told = format!("{name} {words} {}", plate.unit);
        svg.rect((left, middle - high / 2.0), (length, high), theme.colour(0), told.trim_end());
        svg.words((left + length + 5.0, base), Anchor::Start, &theme.faint, &words);
    }
    svg.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values_and_names_are_cut() {
        let plate = Plate::new("r", "上位", "", "なし").sized(400.0, 90.0);
        let rows = [
            ("/api/v1/engineers/{id}/skills/{skill}/history".to_owned(), Some(200.0)),
            ("短い".to_owned(), Some(100.0)),
            ("なにもない".to_owned(), None),
        ];
        let svg = ranking(&plate, &Theme::print(), &rows);
        let lengths: Vec<f64> = svg
            .split("<rect ")
            .skip(1)
            .map(|r| r.split("width=\"").nth(1).unwrap().split('"').next().unwrap())
            .map(|w| w.parse().unwrap())
            .collect();
        assert!((lengths[0] - 2.0 * lengths[1]).abs() < 0.02 && lengths[2] == 0.0, "{lengths:?}");
        assert!(svg.contains("…</text>") && svg.contains("/history 200</title>"), "{svg}");
    }
}
