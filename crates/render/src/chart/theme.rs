//! Colours and the face of charts.

/// What a chart is drawn with. Colours are written as they are into SVG attributes: `#1b2440`, in a page also
/// `var(--ink)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Text and axes.
    pub ink: String,
    /// Labels.
    pub faint: String,
    /// Lines across.
    pub grid: String,
    /// Behind hours or days without data.
    pub gap: String,
    /// Of the series in turn; the first also of heat, rankings and sparks.
    pub series: Vec<String>,
    /// Families in order, with commas.
    pub font: String,
}

impl Theme {
    /// Fixed colours on white, as documents have them.
    pub fn print() -> Theme {
        let own = str::to_owned;
        Theme {
            ink: own("#1b2440"),
            faint: own("#5d6478"),
            grid: own("#dcdfe6"),
            gap: own("#eceef3"),
            series: ["#23509e", "#c4501b", "#0d7d6c", "#8a4a9e", "#8a6a00", "#5d6478"]
                .map(own)
                .to_vec(),
            font: own("IPAexGothic, 'Noto Sans JP', 'Hiragino Sans', sans-serif"),
        }
    }

    /// The colour of series number `place`; they repeat.
    pub fn colour(&self, place: usize) -> &str {
        match self.series.len() {
            0 => &self.ink,
            many => &self.series[place % many],
        }
    }

    /// The dashes of series number `place`, so that colour is not all that tells them apart.
    pub fn dashes(place: usize) -> &'static str {
        ["", "6 3", "2 2.5", "9 3 2 3"][place % 4]
    }
}
