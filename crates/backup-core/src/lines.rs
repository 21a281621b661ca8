//! JSON for people and for line tools: a member a line, and what lies deep in one line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// How deep objects and arrays have a line for each item; further in they are one line: in a manifest what is in a list
/// among the facts of a part. There can be many.
const DEEP: usize = 5;

/// `value` as JSON.
pub(crate) fn to_string(value: &impl Serialize) -> serde_json::Result<String> {
    let mut json = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut json, Lines { depth: 0, empty: true }))?;
    String::from_utf8(json).map_err(|error| serde_json::Error::io(io::Error::other(error)))
}

struct Lines {
    /// How many objects and arrays are open.
    depth: usize,
    /// Whether nothing is in the innermost yet.
    empty: bool,
}

impl Lines {
    fn open(&mut self, writer: &mut (impl Write + ?Sized), bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.empty = true;
        writer.write_all(bracket)
    }

    fn item(&mut self, writer: &mut (impl Write + ?Sized), first: bool) -> io::Result<()> {
        self.empty = false;
        writer.write_all(if first { b"" } else { b"," })?;
        if self.depth <= DEEP { self.line(writer) } else { Ok(()) }
    }

    fn close(&mut self, writer: &mut (impl Write + ?Sized), bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < DEEP && !self.empty {
            self.line(writer)?;
        }
        self.empty = false;
        writer.write_all(bracket)
    }

    fn line(&self, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
        write!(writer, "\n{:1$}", "", 2 * self.depth)
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(if self.depth <= DEEP { b": " } else { b":" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_lies_deep_is_one_line() {
        let row = json!(["Relation", {"a": [1, "\n"], "b": {}}, []]);
        let value = json!({"parts": [{"facts": {"objects": [row, row], "none": []}, "x": 1}]});
        let text = to_string(&value).expect("written");
        let line = r#"          ["Relation",{"a":[1,"\n"],"b":{}},[]]"#;
        let objects = format!("        \"objects\": [\n{line},\n{line}\n        ]");
        assert!(text.contains(&objects), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("read"), value);
    }
}
