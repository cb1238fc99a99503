//! A field of rows and columns, such as days and hours, the stronger the more.

use super::axis::figure;
use super::svg::{Anchor, Svg, TEXT, width};
use super::{Plate, Theme, known};

/// The weakest colour of a value: zero is not a gap.
const WEAKEST: f64 = 0.05;
const ABOVE: f64 = 22.0;
const BELOW: f64 = 18.0;

/// Cells by row and column, as strong as their share of the highest; a cell without a value is struck through. An empty
/// column's name is not drawn.
pub fn heat(
    plate: &Plate,
    theme: &Theme,
    rows: &[String],
    columns: &[String],
    cells: &[Vec<Option<f64>>],
) -> String {
    let mut svg = Svg::begin(plate, theme);
    let left = rows.iter().map(|r| width(r)).fold(0.0, f64::max) + 8.0;
    let cell = (
        (plate.width - left - 2.0).max(1.0) / columns.len().max(1) as f64,
        (plate.height - ABOVE - BELOW).max(1.0) / rows.len().max(1) as f64,
    );
    let values = || cells.iter().flatten().filter_map(|v| known(*v));
    let highest = values().fold(0.0, f64::max);
    for (down, row) in rows.iter().enumerate() {
        let y = ABOVE + cell.1 * down as f64;
        let base = y + cell.1 / 2.0 + TEXT * 0.36;
        svg.words((left - 6.0, base), Anchor::End, &theme.faint, row);
        for (along, column) in columns.iter().enumerate() {
            let (at, size) = ((left + cell.0 * along as f64, y), (cell.0 - 1.2, cell.1 - 1.2));
            match known(cells.get(down).and_then(|c| c.get(along)).copied().flatten()) {
                Some(value) => {
                    let share = if highest > 0.0 { (value / highest).max(0.0) } else { 0.0 };
                    let strength = WEAKEST + (1.0 - WEAKEST) * share;
                    let told = format!("{row} {column} {} {}", figure(value), plate.unit);
                    svg.shade(at, size, (theme.colour(0), strength), told.trim_end());
                }
                None => missing(&mut svg, plate, theme, (at, size), &format!("{row} {column}")),
            }
        }
    }
    for (along, column) in columns.iter().enumerate() {
        let at = (left + cell.0 * (along as f64 + 0.5), plate.height - 5.0);
        svg.words(at, Anchor::Middle, &theme.faint, column);
    }
    let gaps = rows.len() * columns.len() > values().count();
    legend(&mut svg, plate, theme, highest, gaps);
    svg.end()
}

fn missing(
    svg: &mut Svg,
    plate: &Plate,
    theme: &Theme,
    (at, size): ((f64, f64), (f64, f64)),
    place: &str,
) {
    svg.rect(at, size, &theme.gap, &format!("{place} {}", plate.no_data));
    svg.path(&[(at.0, at.1 + size.1), (at.0 + size.0, at.1)], &theme.faint, 0.6, "");
}

/// The unit, and what the weakest and the strongest colour mean.
fn legend(svg: &mut Svg, plate: &Plate, theme: &Theme, highest: f64, gaps: bool) {
    let base = TEXT + 1.0;
    svg.words((2.0, base), Anchor::Start, &theme.faint, &plate.unit);
    let mut right = plate.width - 2.0;
    if gaps {
        svg.words((right, base), Anchor::End, &theme.faint, &plate.no_data);
        right -= width(&plate.no_data) + 18.0;
        missing(svg, plate, theme, ((right, base - 9.0), (13.0, 10.0)), "");
        right -= 14.0;
    }
    let words = figure(highest);
    svg.words((right, base), Anchor::End, &theme.faint, &words);
    right -= width(&words) + 6.0;
    for step in (0..6).rev() {
        let strength = WEAKEST + (1.0 - WEAKEST) * f64::from(step) / 5.0;
        right -= 12.0;
        svg.shade((right, base - 9.0), (12.0, 10.0), (theme.colour(0), strength), "");
    }
    svg.words((right - 6.0, base), Anchor::End, &theme.faint, "0");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_weak_the_highest_strong_and_a_gap_struck_through() {
        let plate = Plate::new("h", "曜日と時刻", "", "データなし").of("件");
        let rows = ["月", "火"].map(str::to_owned);
        let columns = ["0", "1"].map(str::to_owned);
        let cells = [vec![Some(0.0), Some(50.0)], vec![None, Some(100.0)]];
        let svg = heat(&plate, &Theme::print(), &rows, &columns, &cells);
        for wanted in [
            "fill-opacity=\"0.05\"><title>月 0 0 件</title>",
            "fill-opacity=\"0.53\"><title>月 1 50 件</title>",
            "fill=\"#23509e\"><title>火 1 100 件</title>",
            "<title>火 0 データなし</title>",
        ] {
            assert!(svg.contains(wanted), "{wanted} is missing in {svg}");
        }
        assert_eq!(svg.matches("stroke-width=\"0.6\"").count(), 2, "the gap and its legend");
    }
}
