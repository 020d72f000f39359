//! Colours, once, for pictures, plots and page, each for light and for dark background.
//!
//! The four outcomes of operations keep a distance of at least ΔE 38 (light) and 25 (dark) in CIE76 for
//! normal sight and for simulated protanopia, deuteranopia and tritanopia (Machado, Oliveira & Fernandes
//! 2009). Colour is never the only signal: shapes, hatching and words carry the same information.

use std::fmt::Write;

/// A colour with its light and dark variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ink {
    /// Its name, as a CSS variable.
    pub name: &'static str,
    /// On a light background, as red, green, blue.
    pub light: (u8, u8, u8),
    /// On a dark background.
    pub dark: (u8, u8, u8),
}

const fn ink(name: &'static str, light: u32, dark: u32) -> Ink {
    const fn rgb(hex: u32) -> (u8, u8, u8) {
        ((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
    }
    Ink { name, light: rgb(light), dark: rgb(dark) }
}

/// The background.
pub const PAPER: Ink = ink("paper", 0xFFFFFF, 0x0D1117);
/// Panels on the background.
pub const PANEL: Ink = ink("panel", 0xF6F8FA, 0x161B22);
/// Text.
pub const TEXT: Ink = ink("text", 0x1B1F24, 0xE6EDF3);
/// Less important text.
pub const MUTED: Ink = ink("muted", 0x57606A, 0x9BA6B2);
/// Separator lines.
pub const RULE: Ink = ink("rule", 0xD0D7DE, 0x30363D);
/// Operations that happened.
pub const OK: Ink = ink("ok", 0x0072B2, 0x6CB6FF);
/// Indeterminate operations.
pub const INFO: Ink = ink("info", 0xD98E04, 0xF0B429);
/// Operations that certainly did not happen; always hatched or dashed.
pub const FAIL: Ink = ink("fail", 0xBDBDBD, 0xA0A7AF);
/// The witness: the operation that cannot be linearized.
pub const WITNESS: Ink = ink("witness", 0xB3003B, 0xFF2E63);
/// The harness itself.
pub const HARNESS: Ink = ink("harness", 0x6639BA, 0xB392F0);
/// Killed nodes.
pub const KILL: Ink = ink("kill", 0xD55E00, 0xD9722B);
/// Paused nodes.
pub const PAUSE: Ink = ink("pause", 0xCC79A7, 0xC479A4);
/// Cut links.
pub const PARTITION: Ink = ink("partition", 0x009E73, 0x1FA37E);
/// Any other fault.
pub const OTHER: Ink = ink("other", 0x7A6A4F, 0xB09B76);
/// The four quantiles, from the median to the longest: one hue, four shades.
pub const QUANTILES: [Ink; 4] = [
    ink("q50", 0x7FB8DE, 0x2F6DA3),
    ink("q95", 0x3A8FC7, 0x4C93D1),
    ink("q99", 0x10639A, 0x86BDF0),
    ink("q100", 0x08324F, 0xC9E3FC),
];

const ALL: [Ink; 14] =
    [PAPER, PANEL, TEXT, MUTED, RULE, OK, INFO, FAIL, WITNESS, HARNESS, KILL, PAUSE, PARTITION, OTHER];

/// The colour of a fault.
pub fn of_fault(fault: &str) -> Ink {
    match fault {
        "kill" => KILL,
        "pause" => PAUSE,
        "partition" => PARTITION,
        _ => OTHER,
    }
}

impl Ink {
    /// In the form `#0072B2`, on a light background.
    pub fn light_hex(self) -> String {
        hex(self.light)
    }
}

fn hex((r, g, b): (u8, u8, u8)) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

/// A style sheet with every colour as a variable, `--ok` and so on.
pub fn variables() -> String {
    let block = |face: fn(&Ink) -> (u8, u8, u8)| {
        ALL.iter().fold(String::new(), |mut css, ink| {
            let _ = write!(css, "--{}:{};", ink.name, hex(face(ink))); // writing to a string cannot fail
            css
        })
    };
    format!(
        ":root{{color-scheme:light dark;{}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}\n",
        block(|ink| ink.light),
        block(|ink| ink.dark)
    )
}

/// A style sheet that switches a drawing in light colours to the dark ones.
pub fn dark_faces() -> String {
    let mut css = String::from("@media screen and (prefers-color-scheme:dark){");
    for ink in ALL.iter().chain(&QUANTILES) {
        let (light, dark) = (hex(ink.light), hex(ink.dark));
        let _ = write!(css, "[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}");
    }
    css + "}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_inks_share_a_light_face() {
        let mut faces: Vec<_> = ALL.iter().chain(&QUANTILES).map(|ink| ink.light).collect();
        faces.sort_unstable();
        faces.dedup();
        assert_eq!(faces.len(), ALL.len() + QUANTILES.len(), "the dark face would be ambiguous");
    }

    /// The contrast of two colours by WCAG 2.1.
    fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        let luminance =
            |(r, g, b): (u8, u8, u8)| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn text_can_be_read_on_both_papers() {
        for paper in [PAPER, PANEL] {
            for text in [TEXT, MUTED, WITNESS] {
                assert!(contrast(text.light, paper.light) >= 4.5, "{} on light {}", text.name, paper.name);
                assert!(contrast(text.dark, paper.dark) >= 4.5, "{} on dark {}", text.name, paper.name);
            }
        }
    }
}
