//! The XML of `junit.xml`: elements, attributes and text, indented, without characters that XML forbids.

use std::fmt::Write as _;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// An element with its attributes, in order.
pub(super) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    content: Content,
}

enum Content {
    Children(Vec<Element>),
    Text(String),
}

impl Element {
    pub(super) fn new(name: &'static str) -> Element {
        Element { name, attributes: Vec::new(), content: Content::Children(Vec::new()) }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Element {
        self.attributes.push((name, value.to_string()));
        self
    }

    pub(super) fn children(mut self, children: impl IntoIterator<Item = Element>) -> Element {
        self.content = Content::Children(children.into_iter().collect());
        self
    }

    pub(super) fn text(mut self, text: &str) -> Element {
        self.content = Content::Text(text.to_string());
        self
    }

    /// The number of elements with this name, itself included.
    pub(super) fn count(&self, name: &str) -> usize {
        let below = match &self.content {
            Content::Children(children) => children.iter().map(|child| child.count(name)).sum(),
            Content::Text(_) => 0,
        };
        below + usize::from(self.name == name)
    }

    /// The document with this element as its root.
    pub(super) fn document(&self) -> String {
        let mut xml = DECLARATION.to_string();
        self.render(0, &mut xml);
        xml
    }

    fn render(&self, depth: usize, xml: &mut String) {
        let indent = "    ".repeat(depth);
        let _ = write!(xml, "{indent}<{}", self.name);
        for (name, value) in &self.attributes {
            // An XML parser turns a line break within an attribute into a space.
            let _ = write!(xml, " {name}=\"{}\"", escaped(value).replace('\n', "&#10;"));
        }
        match &self.content {
            Content::Children(children) if children.is_empty() => xml.push_str("/>\n"),
            Content::Children(children) => {
                xml.push_str(">\n");
                for child in children {
                    child.render(depth + 1, xml);
                }
                let _ = writeln!(xml, "{indent}</{}>", self.name);
            }
            Content::Text(text) => {
                let _ = writeln!(xml, ">{}</{}>", escaped(text), self.name);
            }
        }
    }
}

/// The text without the characters that XML 1.0 forbids (section 2.2), and with references for those that mark up.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\r' => escaped.push_str("&#13;"),
            '\t' | '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => escaped.push(c),
            _ => {}
        }
    }
    escaped
}
