//! A small reader for EDN, and for JSON by the same rules.
//!
//! A form is a datum with its subforms: `{:type :ok, :value [1 2]}`. Data without a counterpart in [`Value`]
//! are kept opaque, as their text: ratios, floats, integers beyond 64 bits, characters, symbols, `##NaN`. Two
//! opaque texts are equal if they are spelled the same, which is right for the output of one program. Tags
//! stay with their form; comments, `#_` and commas are white space.
//!
//! JSON differs a little: a colon stands between key and value, `null` is nil, and there are neither keywords
//! nor symbols. Commas are white space here too, so a missing comma goes unnoticed.
//!
//! The outermost vector, list or array is never built: its forms are returned one by one, like those of a
//! file with one form per line. Nesting is limited to [`DEPTH_MAX`], so no input can exhaust the stack.
//!
//! See the EDN specification (github.com/edn-format/edn) and RFC 8259.

use std::borrow::Cow;
use std::char;
use std::str;

use super::lines::is_comment;
use super::print::Quoted;
use super::strings::Strings;
use super::{ParseError, Place};
use crate::op::Value;

/// The maximum nesting of forms.
const DEPTH_MAX: usize = 64;

/// One datum.
#[derive(Debug, PartialEq)]
pub(super) enum Form<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Text(Cow<'a, str>),
    /// Without its colon.
    Keyword(&'a str),
    /// Any other single token, as it was written.
    Opaque(&'a str),
    Sequence(Vec<Form<'a>>),
    Set(Vec<Form<'a>>),
    Map(Vec<(Form<'a>, Form<'a>)>),
    Tagged(&'a str, Box<Form<'a>>),
}

impl Form<'_> {
    /// The form as a value. Keywords become texts. Sets become sorted lists, and maps sorted lists of pairs,
    /// because equal ones may be printed in different orders.
    pub(super) fn value(&self, strings: &mut Strings) -> Value {
        let list = |forms: &[Form], strings: &mut Strings| -> Vec<Value> {
            forms.iter().map(|form| form.value(strings)).collect()
        };
        match self {
            Form::Nil => Value::Nil,
            Form::Bool(b) => Value::Bool(*b),
            Form::Int(i) => Value::Int(*i),
            Form::Text(text) => Value::Str(strings.share(text)),
            Form::Keyword(text) | Form::Opaque(text) => Value::Str(strings.share(text)),
            Form::Sequence(items) => Value::List(list(items, strings).into()),
            Form::Set(items) => {
                let mut items = list(items, strings);
                items.sort();
                Value::List(items.into())
            }
            Form::Map(entries) => {
                let mut pairs: Vec<_> =
                    entries.iter().map(|(k, v)| Value::pair(k.value(strings), v.value(strings))).collect();
                pairs.sort();
                Value::List(pairs.into())
            }
            Form::Tagged(tag, form) => {
                Value::pair(Value::Str(strings.share(&format!("#{tag}"))), form.value(strings))
            }
        }
    }

    /// The form in EDN.
    pub(super) fn edn(&self) -> String {
        let joined = |forms: &[Form]| forms.iter().map(Form::edn).collect::<Vec<_>>().join(" ");
        match self {
            Form::Nil => "nil".into(),
            Form::Bool(b) => b.to_string(),
            Form::Int(i) => i.to_string(),
            Form::Text(text) => Quoted(text).to_string(),
            Form::Keyword(text) => format!(":{text}"),
            Form::Opaque(text) => (*text).into(),
            Form::Sequence(items) => format!("[{}]", joined(items)),
            Form::Set(items) => format!("#{{{}}}", joined(items)),
            Form::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| format!("{} {}", key.edn(), value.edn()));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
            Form::Tagged(tag, form) => format!("#{tag} {}", form.edn()),
        }
    }

    /// The number, if it is not negative. Numbers beyond 63 bits are opaque as forms.
    pub(super) fn unsigned(&self) -> Option<u64> {
        match self {
            Form::Int(n) => u64::try_from(*n).ok(),
            Form::Opaque(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The form in an error text.
    pub(super) fn shown(&self) -> String {
        format!("`{}`", self.value(&mut Strings::default()))
    }

    /// The text of a keyword, a text or a symbol.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Form::Text(text) => Some(text),
            Form::Keyword(text) | Form::Opaque(text) => Some(text),
            _ => None,
        }
    }
}

/// The notation of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Edn,
    Json,
}

/// Reads the forms of a text.
pub(super) struct Forms<'a> {
    text: &'a str,
    at: usize,
    notation: Notation,
    line: usize,
    line_start: usize,
    depth: usize,
    /// The bracket that ends the outermost container, once the reader is inside one.
    closes: Option<u8>,
    /// Whether that container is in a map, whose other entries are ignored.
    in_map: bool,
}

/// The keys under which a map holds a history.
const HISTORIES: [&str; 3] = ["history", "events", "operations"];

/// The result of reading inside a form.
type Read<T> = Result<T, ParseError>;

impl<'a> Forms<'a> {
    /// Reads from bytes, which must be UTF-8.
    pub(super) fn new(bytes: &'a [u8], notation: Notation) -> Read<Self> {
        let text = str::from_utf8(bytes).map_err(|error| {
            let valid = &bytes[..error.valid_up_to()];
            let line_start = valid.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            ParseError {
                line: 1 + valid.iter().filter(|&&byte| byte == b'\n').count(),
                column: 1 + valid.len() - line_start,
                expected: "UTF-8".into(),
                found: format!("byte 0x{:02x}", bytes[valid.len()]),
            }
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(Forms { text, at: 0, notation, line: 1, line_start: 0, depth: 0, closes: None, in_map: false })
    }

    /// Enters the outermost vector, list or array, if one contains everything. It may itself be in a map:
    /// `{"history": [...]}`.
    pub(super) fn enter(&mut self) -> Read<()> {
        self.blank()?;
        if self.peek() == Some(b'{') {
            let start = (self.at, self.line, self.line_start);
            self.in_map = self.seek_history().unwrap_or(false);
            if !self.in_map {
                (self.at, self.line, self.line_start) = start;
                return Ok(());
            }
        }
        self.closes = match self.peek() {
            Some(b'[') => Some(b']'),
            Some(b'(') if self.is_edn() => Some(b')'),
            _ => return Ok(()),
        };
        self.at += 1;
        Ok(())
    }

    /// Whether the reader is inside a container.
    pub(super) fn entered(&self) -> bool {
        self.closes.is_some()
    }

    /// Enters a map up to its list of maps or vectors under one of [`HISTORIES`]. Returns whether there is
    /// one.
    fn seek_history(&mut self) -> Read<bool> {
        self.at += 1;
        while let Some(name) = self.key()? {
            let is_list = self.peek() == Some(b'[') || self.is_edn() && self.peek() == Some(b'(');
            if is_list && name.name().is_some_and(|name| HISTORIES.contains(&name)) {
                let first = self.rest()[1..].trim_start();
                return Ok(first.starts_with(['{', '[', '#', ']']));
            }
            self.form()?;
        }
        Ok(false)
    }

    /// Line and column of the next form, after white space.
    pub(super) fn place(&mut self) -> Read<Place> {
        self.blank()?;
        Ok(Place { line: self.line, column: self.column() })
    }

    /// The next form, at the top level or in the outermost container.
    pub(super) fn next(&mut self) -> Read<Option<Form<'a>>> {
        self.blank()?;
        match (self.peek(), self.closes) {
            (None, None) => Ok(None),
            (None, Some(close)) => Err(self.unexpected(&format!("`{}`", char::from(close)))),
            (Some(byte), Some(close)) if byte == close => {
                self.at += 1;
                while self.in_map && self.key()?.is_some() {
                    self.form()?;
                }
                self.at += usize::from(self.in_map);
                self.blank()?;
                if self.peek().is_some() {
                    return Err(self.unexpected("nothing after the history"));
                }
                self.closes = None;
                Ok(None)
            }
            _ => self.form().map(Some),
        }
    }

    /// The unread text after the last form.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn form(&mut self) -> Read<Form<'a>> {
        self.deeper(|forms| match forms.peek() {
            Some(b'"') => forms.quoted().map(Form::Text),
            Some(b'{') => forms.map(),
            Some(b'[') => forms.until(b']').map(Form::Sequence),
            Some(b'(') if forms.is_edn() => forms.until(b')').map(Form::Sequence),
            Some(b'#') if forms.is_edn() => forms.dispatched(),
            _ => forms.token(),
        })
    }

    /// Reads a nested form: counts and limits the depth.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == DEPTH_MAX {
            return Err(self.error(&format!("at most {DEPTH_MAX} levels of nesting"), "one more".into()));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// The forms up to a closing bracket.
    fn until(&mut self, close: u8) -> Read<Vec<Form<'a>>> {
        let mut forms = Vec::new();
        self.at += 1;
        loop {
            self.blank()?;
            match self.peek() {
                Some(byte) if byte == close => break,
                None => return Err(self.unexpected(&format!("`{}`", char::from(close)))),
                _ => forms.push(self.form()?),
            }
        }
        self.at += 1;
        Ok(forms)
    }

    fn map(&mut self) -> Read<Form<'a>> {
        let mut entries = Vec::with_capacity(8); // as many as an event has
        self.at += 1;
        while let Some(key) = self.key()? {
            entries.push((key, self.form()?));
        }
        self.at += 1;
        Ok(Form::Map(entries))
    }

    /// The next key of a map; `None` at the closing bracket, which is not consumed.
    fn key(&mut self) -> Read<Option<Form<'a>>> {
        self.blank()?;
        match self.peek() {
            Some(b'}') => return Ok(None),
            None => return Err(self.unexpected("`}`")),
            _ => {}
        }
        let key = self.form()?;
        self.blank()?;
        if !self.is_edn() {
            if self.peek() != Some(b':') {
                return Err(self.unexpected("`:`"));
            }
            self.at += 1;
            self.blank()?;
        }
        Ok(Some(key))
    }

    /// A form that begins with `#`: a set, a tagged form, or `##Inf`.
    fn dispatched(&mut self) -> Read<Form<'a>> {
        if self.rest().starts_with("##") {
            return self.token();
        }
        self.at += 1;
        if self.peek() == Some(b'{') {
            return self.until(b'}').map(Form::Set);
        }
        let tag = self.word();
        self.blank()?;
        Ok(Form::Tagged(tag, Box::new(self.form()?)))
    }

    /// A number, keyword, symbol or character.
    fn token(&mut self) -> Read<Form<'a>> {
        let start = self.at;
        if self.peek() == Some(b'\\') && self.is_edn() {
            // A character may be a delimiter itself: `\(`.
            self.at += 1;
            self.at += self.rest().chars().next().filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8);
        }
        self.word();
        let word = &self.text[start..self.at];
        let form = match (self.notation, word) {
            (_, "true") => Form::Bool(true),
            (_, "false") => Form::Bool(false),
            (Notation::Edn, "nil") | (Notation::Json, "null") => Form::Nil,
            _ if word.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c)) => {
                integer(word).map_or(Form::Opaque(word), Form::Int)
            }
            (Notation::Edn, _) if word.len() > 1 && word.starts_with(':') => Form::Keyword(&word[1..]),
            (Notation::Edn, _) if !word.is_empty() && word != ":" => Form::Opaque(word),
            _ => {
                self.at = start;
                return Err(self.unexpected("a value"));
            }
        };
        Ok(form)
    }

    /// The text up to white space or a delimiter; may be empty.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let ends = |byte: &u8| match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b';' => {
                true
            }
            b':' => self.notation == Notation::Json,
            _ => false,
        };
        let length = rest.bytes().position(|byte| ends(&byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// A text in quotes, borrowed if it has no escapes.
    fn quoted(&mut self) -> Read<Cow<'a, str>> {
        self.at += 1;
        let mut text = Cow::Borrowed("");
        loop {
            let rest = self.rest();
            let Some(plain) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | b'\n')) else {
                self.at = self.text.len();
                return Err(self.unexpected("`\"`"));
            };
            if text.is_empty() {
                text = Cow::Borrowed(&rest[..plain]);
            } else {
                text.to_mut().push_str(&rest[..plain]);
            }
            self.at += plain + 1;
            match rest.as_bytes()[plain] {
                b'"' => return Ok(text),
                b'\n' => {
                    self.line += 1;
                    self.line_start = self.at;
                    text.to_mut().push('\n');
                }
                _ => {
                    let escaped = self.escape()?;
                    text.to_mut().push(escaped);
                }
            }
        }
    }

    /// The character of an escape, whose backslash has been read.
    fn escape(&mut self) -> Read<char> {
        let c = match self.peek() {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'u') => {
                let first = self.code_unit()?;
                // JSON writes characters beyond 16 bits as two units; the first is in this range.
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first).ok_or_else(|| self.unexpected("a Unicode character"));
                }
                if !self.rest().starts_with("\\u") {
                    return Err(self.unexpected("the second half of a Unicode character"));
                }
                self.at += 1;
                let second = self.code_unit()?;
                return char::decode_utf16([first as u16, second as u16])
                    .next()
                    .and_then(Result::ok)
                    .ok_or_else(|| self.unexpected("the second half of a Unicode character"));
            }
            _ => return Err(self.unexpected("an escape such as `\\n`")),
        };
        self.at += 1;
        Ok(c)
    }

    /// A UTF-16 code unit: `uXXXX`.
    fn code_unit(&mut self) -> Read<u32> {
        let digits = self.rest().get(1..5).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.unexpected("four hexadecimal digits"))?;
        self.at += 5;
        Ok(unit)
    }

    /// Skips white space, commas, comments and discarded forms.
    fn blank(&mut self) -> Read<()> {
        loop {
            match self.peek() {
                Some(b'\n') => {
                    self.at += 1;
                    self.line += 1;
                    self.line_start = self.at;
                }
                Some(b' ' | b'\t' | b'\r' | b',') => self.at += 1,
                // Some programs put comments before their JSON.
                Some(b'#')
                    if !self.is_edn()
                        && is_comment(self.rest().lines().next().unwrap_or_default().as_bytes()) =>
                {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                Some(b';') if self.is_edn() => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                Some(b'#') if self.is_edn() && self.rest().starts_with("#_") => self.discard()?,
                _ => return Ok(()),
            }
        }
    }

    /// Skips `#_` and the form that it removes. Another `#_` in between also removes a form: `#_ #_ a b`
    /// removes both.
    fn discard(&mut self) -> Read<()> {
        self.at += 2;
        self.deeper(|forms| {
            forms.blank()?;
            forms.form().map(drop)
        })
    }

    fn is_edn(&self) -> bool {
        self.notation == Notation::Edn
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn column(&self) -> usize {
        self.at - self.line_start + 1
    }

    fn error(&self, expected: &str, found: String) -> ParseError {
        ParseError { line: self.line, column: self.column(), expected: expected.into(), found }
    }

    /// The error for the next token.
    fn unexpected(&self, expected: &str) -> ParseError {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some('\n') => "the end of the line".into(),
            Some(c) => format!("`{}`", c.escape_debug()),
            None => "the end of the input".into(),
        };
        self.error(expected, found)
    }
}

/// A 64-bit integer. Clojure writes integers of arbitrary size with an `N`. A leading zero means octal there,
/// so it is rejected.
fn integer(word: &str) -> Option<i64> {
    let digits = word.strip_suffix('N').unwrap_or(word);
    let magnitude = digits.trim_start_matches(['+', '-']);
    (magnitude.len() == 1 || !magnitude.starts_with('0')).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The forms of a text, or its error.
    fn read(text: &[u8], notation: Notation) -> Result<String, ParseError> {
        let mut forms = Forms::new(text, notation)?;
        forms.enter()?;
        let mut values = Vec::new();
        while let Some(form) = forms.next()? {
            values.push(form.value(&mut Strings::default()).to_string());
        }
        Ok(values.join(" "))
    }

    #[test]
    fn edn_reads_as_values() {
        for (text, reads_as) in [
            ("nil true false 7 -7 +7 0 12N", "nil true false 7 -7 7 0 12"),
            ("9223372036854775807 9223372036854775808", "9223372036854775807 9223372036854775808"),
            ("1/2 1.50 1e3 010 ##NaN sym \\a \\( \\newline", "1/2 1.50 1e3 010 ##NaN sym \\a \\( \\newline"),
            (":keyword :a/b", "keyword a/b"),
            (r#""" "plain" "a\nb" "\u0041\ud83d\ude00\/\"""#, "\"\" plain a\nb A😀/\""),
            ("{:v [1 (2 3) []]}", "[[v [1 [2 3] []]]]"),
            ("#{3 1 2} {:b 2, :a 1}", "[1 2 3] [[a 1] [b 2]]"),
            ("; comment\n1 ; more\n,,, #_ [gone] 2 #_ #_ a b 3", "1 2 3"),
            (
                "#inst \"2026\" #knossos.op.Op{} #object[a.b 0x1f \"x\"]",
                "[#inst \"2026\"] [#knossos.op.Op []] [#object [a.b 0x1f x]]",
            ),
            ("[1 [2] 3]\n", "1 [2] 3"),
            ("{:valid? true :history [{:a 1} [2]] :count 2}", "[[a 1]] [2]"),
            ("{:history 7}", "[[history 7]]"),
            ("(1 2)", "1 2"),
            ("\u{feff}1", "1"),
            ("", ""),
        ] {
            assert_eq!(read(text.as_bytes(), Notation::Edn), Ok(reads_as.into()), "{text}");
        }
    }

    #[test]
    fn json_reads_as_the_same_values() {
        for (text, reads_as) in [
            ("null true -7 1.5 18446744073709551616", "nil true -7 1.5 18446744073709551616"),
            (r#"[{"type":"ok","value":[1,null]},{}]"#, "[[type ok] [value [1 nil]]] []"),
            ("{\"a\" : \"\\u00e9\"}\n{\"a\":[]}", "[[a é]] [[a []]]"),
            (r#"{"a":{"history":[1]},"history": [ {"b":1}, {"b":2} ], "c":[]}"#, "[[b 1]] [[b 2]]"),
            (r#"{"history":[]}"#, ""),
            (r#"{"history":[1,2]}"#, "[[history [1 2]]]"),
        ] {
            assert_eq!(read(text.as_bytes(), Notation::Json), Ok(reads_as.into()), "{text}");
        }
    }

    #[test]
    fn malformed_text_is_an_error_at_its_place() {
        use Notation::{Edn, Json};
        for (text, notation, complaint) in [
            ("[1\n 2", Edn, "2:3: expected `]`, found the end of the input"),
            ("[1] 2", Edn, "1:5: expected nothing after the history, found `2`"),
            ("{\"history\":[{}]} 2", Json, "1:18: expected nothing after the history, found `2`"),
            ("{\"history\":[{}]", Json, "1:16: expected `}`, found the end of the input"),
            ("{:a}", Edn, "1:4: expected a value, found `}`"),
            ("1 )", Edn, "1:3: expected a value, found `)`"),
            ("\"ab", Edn, "1:4: expected `\"`, found the end of the input"),
            ("\n\"a\\q\"", Edn, "2:4: expected an escape such as `\\n`, found `q`"),
            ("\"\\ud800x\"", Edn, "1:8: expected the second half of a Unicode character, found `x`"),
            ("\"\\u12\"", Edn, "1:3: expected four hexadecimal digits, found `u`"),
            ("{\"a\" 1}", Json, "1:6: expected `:`, found `1`"),
            ("{\"a\": nil}", Json, "1:7: expected a value, found `n`"),
        ] {
            assert_eq!(read(text.as_bytes(), notation).unwrap_err().to_string(), complaint);
        }
        assert_eq!(read(b"1\n \xff", Edn).unwrap_err().to_string(), "2:2: expected UTF-8, found byte 0xff");
    }

    #[test]
    fn nesting_cannot_exhaust_the_stack() {
        for open in ["[", "{", "#{", "(", "#a ", "#_", "#_;\n", "#_[", "{1 "] {
            let complaint = read(open.repeat(100_000).as_bytes(), Notation::Edn).unwrap_err().to_string();
            assert!(complaint.contains("at most 64 levels of nesting"), "{open}: {complaint}");
        }
    }
}
