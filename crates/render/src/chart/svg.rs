//! SVG text, element by element. Everything foreign is escaped here.

use std::fmt::Write;

use super::{Plate, Theme};

/// The height of text.
pub const TEXT: f64 = 11.0;

/// Where a text begins, from its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A chart being written.
pub struct Svg {
    text: String,
}

impl Svg {
    /// Begins a chart: size, names for those who cannot see it, face.
    pub fn begin(plate: &Plate, theme: &Theme) -> Svg {
        let mut svg = Svg { text: String::new() };
        let id: String =
            plate.id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let (width, height) = (short(plate.width), short(plate.height));
        svg.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\" font-family=\"{}\" font-size=\"{TEXT}\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>",
            escape(&theme.font),
            escape(&plate.title),
            escape(&plate.description)
        ));
        svg
    }

    /// The whole text.
    pub fn end(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }

    /// A filled rectangle; `told` is what it says when pointed at.
    pub fn rect(&mut self, at: (f64, f64), size: (f64, f64), fill: &str, told: &str) {
        self.shade(at, size, (fill, 1.0), told);
    }

    /// The same in a colour of this strength, 0 to 1.
    pub fn shade(&mut self, at: (f64, f64), size: (f64, f64), fill: (&str, f64), told: &str) {
        let opacity = match fill.1 {
            strength if strength < 1.0 => format!(" fill-opacity=\"{}\"", short(strength)),
            _ => String::new(),
        };
        self.put(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"{opacity}{}",
            short(at.0),
            short(at.1),
            short(size.0.max(0.0)),
            short(size.1.max(0.0)),
            escape(fill.0),
            closed("rect", told)
        ));
    }

    /// A dot.
    pub fn dot(&mut self, at: (f64, f64), radius: f64, fill: &str, told: &str) {
        self.put(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"{}",
            short(at.0),
            short(at.1),
            short(radius),
            escape(fill),
            closed("circle", told)
        ));
    }

    /// A line through points.
    pub fn path(&mut self, points: &[(f64, f64)], stroke: &str, width: f64, dashes: &str) {
        let mut way = String::new();
        for (place, (x, y)) in points.iter().enumerate() {
            let step = if place == 0 { 'M' } else { 'L' };
            let _ = write!(way, "{step}{} {}", short(*x), short(*y));
        }
        let dashes = match dashes {
            "" => String::new(),
            dashes => format!(" stroke-dasharray=\"{dashes}\""),
        };
        self.put(format_args!(
            "<path d=\"{way}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" \
             stroke-linejoin=\"round\"{dashes}/>",
            escape(stroke),
            short(width)
        ));
    }

    /// Words, their base line at `y`.
    pub fn words(&mut self, at: (f64, f64), anchor: Anchor, fill: &str, words: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.put(format_args!(
            "<text x=\"{}\" y=\"{}\"{anchor} fill=\"{}\">{}</text>",
            short(at.0),
            short(at.1),
            escape(fill),
            escape(words)
        ));
    }

    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        // writing into a string does not fail
        let _ = self.text.write_fmt(what);
    }
}

fn closed(element: &str, told: &str) -> String {
    match told {
        "" => "/>".to_owned(),
        told => format!("><title>{}</title></{element}>", escape(told)),
    }
}

/// About how wide words are: no face is asked.
pub fn width(words: &str) -> f64 {
    words.chars().map(|c| if u32::from(c) < 0x2e80 { 0.56 } else { 1.0 }).sum::<f64>() * TEXT
}

/// Words cut to a width, with `…` where something went.
pub fn fit(words: &str, most: f64) -> String {
    if width(words) <= most {
        return words.to_owned();
    }
    let mut kept = String::new();
    for letter in words.chars() {
        kept.push(letter);
        if width(&kept) > most - TEXT {
            kept.pop();
            break;
        }
    }
    kept.push('…');
    kept
}

/// A coordinate with at most two digits behind the point.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// Text for an element or an attribute: without what XML cannot hold and what turns the direction of reading.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            '\u{fffe}' | '\u{ffff}' | '\u{feff}' => {}
            letter if letter.is_control() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        let hostile = "</text><script>alert('1')</script> & \"x\" \u{0}\u{8}\u{202e}\u{ffff}終";
        let wanted =
            "&lt;/text&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot; 終";
        assert_eq!(escape(hostile), wanted);
    }

    #[test]
    fn words_are_cut_to_their_width() {
        assert_eq!(fit("/api/v1/engineers", 1000.0), "/api/v1/engineers");
        let cut = fit("月次レポートの作成と配信", 60.0);
        assert!(
            cut.ends_with('…') && width(&cut) <= 60.0 + TEXT && cut.chars().count() > 3,
            "{cut}"
        );
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!(
            [0.0, -0.001, 12.5, 3.1249, 100.0].map(short),
            ["0", "0", "12.5", "3.12", "100"]
        );
    }
}
