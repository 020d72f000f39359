//! Explains terms of art on the page: the first of each section has its meaning as a tooltip, and the last section
//! lists all that the page uses.
//!
//! It works on the rendered page. Text and markup are told apart by `<` and `>`, which are escaped in all text and
//! in all attributes; scripts and style sheets are skipped as a whole.

use maud::{Markup, html};

use super::titled;
use crate::glossary::{GLOSSARY, Term};

/// Elements whose text is not explained: no text, or not our words.
const SKIPPED: [&str; 9] = ["script", "style", "svg", "code", "pre", "title", "button", "a", "abbr"];

/// The page with its terms explained. The list of terms becomes the last section of `main`.
pub(super) fn explained(page: &str) -> String {
    let mut terms = Terms { used: Vec::new(), in_section: Vec::new() };
    let mut out = String::with_capacity(page.len() + page.len() / 16);
    let mut skipped: Option<&str> = None;
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let (text, from) = rest.split_at(start);
        match skipped {
            None => terms.mark(text, &mut out),
            Some(_) => out.push_str(text),
        }
        let end = from.find('>').map_or(from.len(), |end| end + 1);
        let (tag, after) = from.split_at(end);
        let name = name_of(tag);
        match (skipped, tag.starts_with("</")) {
            (None, true) if name == "main" => out.push_str(&terms.section().into_string()),
            (None, false) if name == "section" => terms.in_section.clear(),
            (None, false) => skipped = SKIPPED.iter().copied().find(|it| *it == name),
            (Some(outer), true) if outer == name => skipped = None,
            _ => {}
        }
        out.push_str(tag);
        rest = after;
    }
    out + rest
}

/// The name of a tag: `section` of `<section id="faults">` and of `</section>`.
fn name_of(tag: &str) -> &str {
    let name = tag.trim_start_matches(['<', '/']);
    name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
}

/// The terms of a page so far.
struct Terms {
    used: Vec<&'static Term>,
    in_section: Vec<&'static Term>,
}

impl Terms {
    /// Copies a text and explains those of its terms that are new in this section.
    fn mark(&mut self, text: &str, out: &mut String) {
        let mut done = 0;
        let mut at = 0;
        while at < text.len() {
            let word = text[at..].find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len() - at);
            if let Some((term, len)) = term_at(&text[at..])
                && !is_within_a_name(&text[..at], &text[at + len..])
                && !contains(&self.in_section, term)
            {
                out.push_str(&text[done..at]);
                let name = &text[at..at + len];
                // The meaning is escaped here, and the name was.
                let opened = html! { abbr title=(plain(term.meaning)) {} }.into_string();
                out.push_str(opened.trim_end_matches("</abbr>"));
                out.push_str(name);
                out.push_str("</abbr>");
                self.in_section.push(term);
                if !contains(&self.used, term) {
                    self.used.push(term);
                }
                at += len;
                done = at;
            } else {
                at += word;
                // To the start of the next word.
                at += text[at..].find(char::is_alphanumeric).unwrap_or(text.len() - at);
            }
        }
        out.push_str(&text[done..]);
    }

    fn section(&self) -> Markup {
        let mut used = self.used.clone();
        used.sort_by_key(|term| term.names[0]);
        let list = html! {
            dl { @for term in used { dt { (term.names.join(", ")) } dd { (plain(term.meaning)) } } }
        };
        html! { @if !self.used.is_empty() { (titled("terms", "Terms", "used on this page", list)) } }
    }
}

fn contains(terms: &[&Term], term: &Term) -> bool {
    terms.iter().any(|it| std::ptr::eq(*it, term))
}

/// The term at the start of a text, and its length there: the longest one that is a word, or its plural.
fn term_at(text: &str) -> Option<(&'static Term, usize)> {
    let terms = GLOSSARY.iter().flat_map(|subject| subject.terms).filter(|term| term.is_marked);
    let names = terms.flat_map(|term| term.names.iter().map(move |name| (term, *name)));
    let fits = |(term, name): (&'static Term, &str)| {
        let here = text.get(..name.len())?;
        let rest = text[name.len()..].strip_prefix('s').unwrap_or(&text[name.len()..]);
        let ends = !rest.starts_with(char::is_alphanumeric);
        (here.eq_ignore_ascii_case(name) && ends).then_some((term, text.len() - rest.len()))
    };
    names.filter_map(fits).max_by_key(|(_, len)| *len)
}

/// Whether what stands between these texts is a part of a name, such as `fsync` in `ack-before-fsync` or `log.rs`.
fn is_within_a_name(before: &str, after: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let joins = |c: Option<char>| matches!(c, Some('-' | '_' | '.'));
    let (mut before, mut after) = (before.chars().rev(), after.chars());
    (joins(before.next()) && is_word(before.next())) || (joins(after.next()) && is_word(after.next()))
}

/// A meaning without its marks of code and emphasis.
fn plain(meaning: &str) -> String {
    meaning.replace(['`', '*'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_use_in_each_section_is_explained_and_all_are_listed() {
        let page = "<main><p title=\"a quorum\">No quorum, &lt;quorum&gt;, quorums.</p><section><h2>Stale reads</h2>\
                    <code>quorum</code> quorum-less Quorum</section></main><script>\"quorum\"</script>";
        let explained = explained(page);
        let (before, terms) = explained.split_once("<section id=\"terms\"").expect("a list of terms");
        assert_eq!(before.matches("<abbr title=\"a set of nodes").count(), 2, "{before}");
        assert!(before.contains(">quorum</abbr>, &lt;quorum&gt;, quorums.</p>"), "{before}");
        assert!(before.contains("<code>quorum</code> quorum-less <abbr"), "{before}");
        assert!(before.contains(">Stale reads</abbr>"), "{before}");
        assert!(terms.contains("<dt>quorum</dt>") && terms.contains("<dt>stale read</dt>"), "{terms}");
        assert!(terms.ends_with("</main><script>\"quorum\"</script>"), "{terms}");
    }

    #[test]
    fn a_part_of_a_name_is_not_explained() {
        let page = "<main><p>ack-before-quorum, quorum-loss, quorum_size, a.quorum.rs</p><p>A -quorum- quorum.</p></main>";
        let explained = explained(page);
        assert!(
            explained.starts_with("<main><p>ack-before-quorum, quorum-loss, quorum_size, a.quorum.rs</p>"),
            "{explained}"
        );
        assert!(explained.contains("<p>A -<abbr"), "{explained}");
    }

    #[test]
    fn a_page_without_terms_has_no_list() {
        assert_eq!(explained("<main><p>nothing</p></main>"), "<main><p>nothing</p></main>");
    }
}
