//! What lines and bars stand in: the axis with its ticks, the labels beneath, the legend above, the gaps.

use super::axis::Axis;
use super::svg::{Anchor, Svg, TEXT, width};
use super::{Plate, Series, Theme};

/// How far apart the ticks are at least.
const TICK_EVERY: f64 = 34.0;
const ABOVE: f64 = 24.0;
const BELOW: f64 = 22.0;
const RIGHT: f64 = 8.0;

/// What a series looks like in the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Line,
    Bar,
}

/// The field in which values are drawn.
pub struct Frame {
    pub axis: Axis,
    left: f64,
    top: f64,
    across: f64,
    down: f64,
    places: usize,
}

impl Frame {
    /// Measures the field, and draws everything but the values.
    pub fn draw(
        svg: &mut Svg,
        plate: &Plate,
        theme: &Theme,
        labels: &[String],
        (series, mark): (&[Series], Mark),
    ) -> Frame {
        let places = series.iter().map(|s| s.values.len()).max().unwrap_or(0).max(labels.len());
        let down = (plate.height - ABOVE - BELOW).max(1.0);
        let values = series.iter().flat_map(|s| (0..places).filter_map(|p| s.at(p)));
        let axis = Axis::over(values, (down / TICK_EVERY) as usize);
        let left = axis.ticks.iter().map(|t| width(&axis.text(*t))).fold(0.0, f64::max) + 8.0;
        let across = (plate.width - left - RIGHT).max(1.0);
        let frame = Frame { axis, left, top: ABOVE, across, down, places };
        let gaps = frame.gaps(series);
        for (from, to) in &gaps {
            let at = (frame.left + frame.band() * *from as f64, frame.top);
            let size = (frame.band() * (to - from) as f64, frame.down);
            svg.rect(at, size, &theme.gap, &plate.no_data);
        }
        for tick in &frame.axis.ticks {
            let y = frame.y(*tick);
            let ink = if *tick == 0.0 { &theme.faint } else { &theme.grid };
            svg.path(&[(left, y), (left + across, y)], ink, 0.8, "");
            let at = (left - 5.0, y + TEXT * 0.36);
            svg.words(at, Anchor::End, &theme.faint, &frame.axis.text(*tick));
        }
        frame.label(svg, theme, labels);
        frame.legend(svg, plate, theme, (series, mark), !gaps.is_empty() && gaps != [(0, places)]);
        if gaps == [(0, places)] || places == 0 {
            let middle = (left + across / 2.0, frame.top + frame.down / 2.0);
            svg.words(middle, Anchor::Middle, &theme.faint, &plate.no_data);
        }
        frame
    }

    /// The width of a place.
    pub fn band(&self) -> f64 {
        self.across / self.places.max(1) as f64
    }

    /// The middle of a place.
    pub fn x(&self, place: usize) -> f64 {
        self.left + self.band() * (place as f64 + 0.5)
    }

    /// The height of a value.
    pub fn y(&self, value: f64) -> f64 {
        self.top + self.down * (1.0 - self.axis.share(value))
    }

    /// The ranges of places at which no series has a value.
    fn gaps(&self, series: &[Series]) -> Vec<(usize, usize)> {
        let mut gaps: Vec<(usize, usize)> = Vec::new();
        for place in (0..self.places).filter(|p| series.iter().all(|s| s.at(*p).is_none())) {
            match gaps.last_mut() {
                Some((_, to)) if *to == place => *to += 1,
                _ => gaps.push((place, place + 1)),
            }
        }
        gaps
    }

    /// Labels beneath, as many as there is room for.
    fn label(&self, svg: &mut Svg, theme: &Theme, labels: &[String]) {
        let named: Vec<usize> = (0..labels.len()).filter(|p| !labels[*p].is_empty()).collect();
        let Some(first) = named.first() else { return };
        let apart = named.get(1).map_or(1, |second| second - first) as f64 * self.band();
        let widest = labels.iter().map(|l| width(l)).fold(0.0, f64::max) + 8.0;
        let every = (widest / apart).ceil().max(1.0) as usize;
        for place in named.into_iter().step_by(every) {
            let at = (self.x(place), self.top + self.down + TEXT + 5.0);
            svg.words(at, Anchor::Middle, &theme.faint, &labels[place]);
        }
    }

    /// The unit at the left; at the right the series, where there are several, and what a gap looks like.
    fn legend(
        &self,
        svg: &mut Svg,
        plate: &Plate,
        theme: &Theme,
        (series, mark): (&[Series], Mark),
        with_gap: bool,
    ) {
        let base = TEXT + 1.0;
        svg.words((2.0, base), Anchor::Start, &theme.faint, &plate.unit);
        let mut right = plate.width - RIGHT;
        if with_gap {
            svg.words((right, base), Anchor::End, &theme.faint, &plate.no_data);
            right -= width(&plate.no_data) + 18.0;
            svg.rect((right, base - 9.0), (13.0, 10.0), &theme.gap, "");
            right -= 14.0;
        }
        let named = if series.len() > 1 { series } else { &[] };
        for (place, one) in named.iter().enumerate().rev() {
            svg.words((right, base), Anchor::End, &theme.ink, &one.name);
            right -= width(&one.name) + 5.0;
            let colour = theme.colour(place);
            match mark {
                Mark::Line => {
                    let sample = [(right - 20.0, base - 4.0), (right, base - 4.0)];
                    svg.path(&sample, colour, 2.2, Theme::dashes(place));
                    right -= 34.0;
                }
                Mark::Bar => {
                    svg.rect((right - 10.0, base - 9.0), (10.0, 10.0), colour, "");
                    right -= 24.0;
                }
            }
        }
    }
}
