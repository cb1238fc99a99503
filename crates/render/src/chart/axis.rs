//! The scale of values: ticks at round numbers, and numbers as people read them.

/// A scale from its lowest to its highest tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub ticks: Vec<f64>,
    digits: usize,
}

impl Axis {
    /// The scale that holds zero and all the values, in at most about so many steps.
    pub fn over(values: impl Iterator<Item = f64>, most_steps: usize) -> Axis {
        let (low, high) = values.fold((0.0_f64, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
        let span = if high > low { high - low } else { 1.0 };
        let step = round_step(span / most_steps.max(1) as f64);
        let first = (low / step).floor() as i64;
        let last = ((high / step).ceil() as i64).max(first + 1);
        let ticks = (first..=last).map(|n| n as f64 * step).collect();
        let digits = if step >= 1.0 { 0 } else { (-step.log10().floor()) as usize };
        // a step of 2.5 or 0.25 needs one digit more than its size says
        let fine = (step * 10_f64.powi(digits as i32)).fract() > 1e-6;
        Axis { ticks, digits: digits + usize::from(fine) }
    }

    /// Where a value lies, 0 at the lowest tick and 1 at the highest.
    pub fn share(&self, value: f64) -> f64 {
        let (low, high) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// A tick's text; all of them have as many digits behind the point.
    pub fn text(&self, tick: f64) -> String {
        grouped(tick, self.digits)
    }
}

/// The round step (1, 2, 2.5 or 5 with zeros) not below `least`.
fn round_step(least: f64) -> f64 {
    let size = 10_f64.powf(least.log10().floor());
    let wanted = least / size;
    let step = [1.0, 2.0, 2.5, 5.0].into_iter().find(|s| *s >= wanted - 1e-9).unwrap_or(10.0);
    step * size
}

/// A value as it is told: about three figures, with separators between thousands.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.1 => 2,
        _ => 3,
    };
    let text = grouped(value, digits);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let is_zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    let sign = if value < 0.0 && !is_zero { "\u{2212}" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[f64]) -> Vec<String> {
        let axis = Axis::over(values.iter().copied(), 4);
        axis.ticks.iter().map(|t| axis.text(*t)).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_every_value() {
        assert_eq!(texts(&[730.0, 12.0]), ["0", "200", "400", "600", "800"]);
        assert_eq!(texts(&[9_600.0]), ["0", "2,500", "5,000", "7,500", "10,000"]);
        assert_eq!(texts(&[0.9]), ["0.00", "0.25", "0.50", "0.75", "1.00"]);
        assert_eq!(texts(&[-30.0, 55.0]), ["\u{2212}50", "\u{2212}25", "0", "25", "50", "75"]);
        assert_eq!(texts(&[1_234_567.0]), ["0", "500,000", "1,000,000", "1,500,000"]);
    }

    #[test]
    fn nothing_and_zero_have_an_axis_too() {
        assert_eq!(texts(&[]), ["0.00", "0.25"]);
        assert_eq!(texts(&[0.0]), ["0.00", "0.25"]);
    }

    #[test]
    fn figures_are_told_shortly() {
        let told = [0.0, 0.031_4, 1.25, 12.34, 175.0, 1_234_567.8, -3.5].map(figure);
        assert_eq!(told, ["0", "0.031", "1.25", "12.3", "175", "1,234,568", "\u{2212}3.5"]);
    }
}
