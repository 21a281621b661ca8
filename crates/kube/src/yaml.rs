//! YAML as JSON: as much of it as configurations hold.

use backup_core::{Error, Result};
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// How deep collections may lie in each other.
const DEEPEST: usize = 32;

/// A collection that has not ended yet.
enum Open {
    Sequence(Vec<Value>),
    /// With the key whose value comes next.
    Mapping(Map<String, Value>, Option<String>),
}

/// The one document in `text`; `null` if there is none.
///
/// Keys are text. Aliases, tags, keys that come twice and collections that lie more than 32 deep are errors. A scalar without
/// quotes is null, true or false if it says so in YAML 1.2; every other is text, numbers too. An error tells the line and
/// nothing of what stands there, which may be a secret.
pub(crate) fn parse(text: &str) -> Result<Value> {
    let mut open: Vec<Open> = Vec::new();
    let mut document = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| wrong(error.marker().line(), "it is no YAML"))?;
        let wrong = |what| Err(wrong(span.start.line(), what));
        let value = match event {
            Event::Alias(_) => return wrong("aliases are not understood"),
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                return wrong("tags are not understood");
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == DEEPEST => {
                return wrong("it is nested too deep");
            }
            Event::SequenceStart(..) => {
                open.push(Open::Sequence(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Mapping(Map::new(), None));
                continue;
            }
            Event::DocumentStart(_) if document.is_some() => return wrong("a second document begins"),
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::Sequence(values)) => Value::Array(values),
                Some(Open::Mapping(map, _)) => Value::Object(map),
                None => return wrong("something ends that has not begun"),
            },
            _ => continue,
        };
        match (open.last_mut(), value) {
            (None, value) => document = Some(value),
            (Some(Open::Sequence(values)), value) => values.push(value),
            (Some(Open::Mapping(map, key)), value) => match (key.take(), value) {
                (Some(key), value) if !map.contains_key(&key) => drop(map.insert(key, value)),
                (Some(_), _) => return wrong("a key comes twice"),
                (None, Value::String(text)) => *key = Some(text),
                (None, _) => return wrong("a key is no text"),
            },
        }
    }
    Ok(document.unwrap_or_default())
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" if style == ScalarStyle::Plain => Value::Null,
        "true" | "True" | "TRUE" if style == ScalarStyle::Plain => Value::Bool(true),
        "false" | "False" | "FALSE" if style == ScalarStyle::Plain => Value::Bool(false),
        text => Value::String(text.to_owned()),
    }
}

fn wrong(line: usize, what: &str) -> Error {
    Error::usage(format!("line {line}: {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_configurations_hold() {
        let text = "# made by hand\nlist:\n- name: 'a'\n  on: true\n  none:\n  word: \"true\"\n- {name: b, n: 1.20}\n- [x, ~]\n\
                    block: |\n  one\n  two\nempty: {}\n";
        let value = json!({"list": [{"name": "a", "on": true, "none": null, "word": "true"}, {"name": "b", "n": "1.20"},
            ["x", null]], "block": "one\ntwo\n", "empty": {}});
        assert_eq!(parse(text).expect("YAML"), value);
        assert_eq!(parse(r#"{"a": ["b"], "c": true}"#).expect("JSON is YAML"), json!({"a": ["b"], "c": true}));
        assert_eq!(parse("").expect("nothing"), Value::Null);
    }

    #[test]
    fn what_could_be_meant_in_two_ways_or_could_grow_is_refused() {
        let (deep, deeper) = ("- ".repeat(DEEPEST + 1), "[".repeat(100_000));
        for (text, what) in [
            ("a: s3cret\n b: - [", "line 2: "),
            ("a: &x [s3cret]\nb: *x", "line 2: aliases"),
            ("a: !!str s3cret", "line 1: tags"),
            ("a: s3cret\na: s3cret", "line 2: a key comes twice"),
            ("? [s3cret]\n: b", "line 1: a key is no text"),
            ("a: s3cret\n---\nb: c", "line 2: a second document"),
            (&deep, "line 1: it is nested too deep"),
            (&deeper, "line 1: "),
            ("\"s3cret", ": it is no YAML"),
        ] {
            let error = parse(text).expect_err(what);
            assert!(error.chain().contains(what) && !error.chain().contains("s3cret"), "{error:?}");
        }
    }
}
