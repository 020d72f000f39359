//! Makes an SVG with thousands of marks several times smaller: neighbouring marks of the same look become one
//! path.
//!
//! ```text
//! <circle cx="142" cy="170" r="2" .../><circle cx="150" ...     M142 170h0M150 171h0, with round ends
//! <polygon points="166,152 169,157 163,157 " .../>              M166 152L169 157L163 157z
//! <line x1="120" y1="148" x2="124" y2="152" .../>               M120 148L124 152
//! ```

use std::fmt::Write;

/// A mark: how it looks, and the part of a path that draws it.
struct Mark {
    look: String,
    path: String,
}

/// The same drawing.
pub(super) fn compact(svg: &str) -> String {
    let mut out = String::with_capacity(svg.len() / 2);
    let mut open: Option<String> = None;
    for (at, element) in svg.split('<').enumerate() {
        match mark(element) {
            Some(Mark { look, path }) => {
                if open.as_ref() != Some(&look) {
                    end(&mut out, &mut open);
                    let _ = write!(out, "<path {look} d=\"");
                    open = Some(look);
                }
                out += &path;
            }
            None => {
                end(&mut out, &mut open);
                let _ = write!(out, "{}{element}", if at == 0 { "" } else { "<" });
            }
        }
    }
    end(&mut out, &mut open);
    out
}

/// Ends the path that is being written, if any.
fn end(out: &mut String, open: &mut Option<String>) {
    if open.take().is_some() {
        out.push_str("\"/>\n");
    }
}

/// An element that is a mark.
fn mark(element: &str) -> Option<Mark> {
    let (name, rest) = element.trim_end().strip_suffix("/>")?.split_once(' ')?;
    let attributes: Vec<(&str, &str)> = rest
        .split_terminator('"')
        .collect::<Vec<_>>()
        .chunks_exact(2)
        .map(|pair| (pair[0].trim().trim_end_matches('='), pair[1]))
        .collect();
    let get = |name: &str| attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let opacity = get("opacity")?;
    match name {
        "circle" if get("stroke")? == "none" => {
            let width = 2 * get("r")?.parse::<u32>().ok()?;
            let look = format!(
                "opacity=\"{opacity}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linecap=\"round\"",
                get("fill")?
            );
            Some(Mark { look, path: format!("M{} {}h0", get("cx")?, get("cy")?) })
        }
        "polygon" if get("stroke").is_none() => {
            let mut numbers = get("points")?.trim().split([' ', ',']);
            let mut path = String::new();
            while let (Some(x), Some(y)) = (numbers.next(), numbers.next()) {
                let _ = write!(path, "{}{x} {y}", if path.is_empty() { 'M' } else { 'L' });
            }
            let look = format!("opacity=\"{opacity}\" fill=\"{}\"", get("fill")?);
            Some(Mark { look, path: path + "z" })
        }
        "line" => {
            let look = format!(
                "opacity=\"{opacity}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"",
                get("stroke")?,
                get("stroke-width")?
            );
            Some(Mark { look, path: format!("M{} {}L{} {}", get("x1")?, get("y1")?, get("x2")?, get("y2")?) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_one_look_become_one_path() {
        let svg = r##"<svg a="b">
<circle cx="1" cy="2" r="2" opacity="0.75" fill="#0072B2" stroke="none" stroke-width="1"/>
<circle cx="3" cy="4" r="2" opacity="0.75" fill="#0072B2" stroke="none" stroke-width="1"/>
<circle cx="5" cy="6" r="2" opacity="0.75" fill="#D98E04" stroke="none" stroke-width="1"/>
<polygon opacity="0.75" fill="#0072B2" points="7,8 9,10 11,12 "/>
<line opacity="0.75" stroke="#0072B2" stroke-width="1" x1="1" y1="2" x2="3" y2="4"/>
<text x="1">a / b</text>
</svg>"##;
        let expected = r##"<svg a="b">
<path opacity="0.75" fill="none" stroke="#0072B2" stroke-width="4" stroke-linecap="round" d="M1 2h0M3 4h0"/>
<path opacity="0.75" fill="none" stroke="#D98E04" stroke-width="4" stroke-linecap="round" d="M5 6h0"/>
<path opacity="0.75" fill="#0072B2" d="M7 8L9 10L11 12z"/>
<path opacity="0.75" fill="none" stroke="#0072B2" stroke-width="1" d="M1 2L3 4"/>
<text x="1">a / b</text>
</svg>"##;
        assert_eq!(compact(svg), expected);
    }
}
