//! The only place where text reaches the page unescaped. All of it is our own, or cannot contain markup.

use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use crate::palette;

/// The style of the page.
pub(super) fn style() -> Markup {
    html! { style { (PreEscaped(palette::variables())) (PreEscaped(include_str!("style.css"))) } }
}

/// The scripts: the picture of the whole run, the common cursor, and buttons that copy commands.
pub(super) fn script() -> Markup {
    html! {
        script { (PreEscaped(include_str!("whole_run.js"))) }
        script { (PreEscaped(include_str!("cursor.js"))) }
        script { (PreEscaped(include_str!("copy.js"))) }
    }
}

/// Data for the script. Inside a script element only `<` could end it or begin another, so `<` is escaped; so
/// are the two line separators that JSON allows and old JavaScript does not.
pub(super) fn data(id: &str, data: &impl Serialize) -> Markup {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "null".to_string());
    let json = json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    html! { script type="application/json" id=(id) { (PreEscaped(json)) } }
}

/// A drawing as a data URL.
pub(super) fn svg_address(svg: &[u8]) -> String {
    format!("data:image/svg+xml;base64,{}", base64(svg))
}

/// Base64 (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_agrees_with_the_standard() {
        let encoded = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn data_cannot_end_its_script() {
        let markup = data("d", &"</script><img onerror=alert(1)>\u{2028}").into_string();
        assert_eq!(markup.matches('<').count(), 2);
        assert!(markup.contains("\\u003c/script>"));
    }
}
