//! The only place where text reaches the page unescaped. All of it is our own, or cannot contain markup.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
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
    format!("data:image/svg+xml;base64,{}", BASE64.encode(svg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_its_script() {
        let markup = data("d", &"</script><img onerror=alert(1)>\u{2028}").into_string();
        assert_eq!(markup.matches('<').count(), 2);
        assert!(markup.contains("\\u003c/script>"));
    }
}
