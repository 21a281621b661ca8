//! Canonical extended JSON (version 2), byte for byte as mongodump writes it.

use std::fmt::Write;

use backup_core::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};

/// How deep documents may lie in each other: a server refuses more than 100 to 200, and who nests deeper is no server.
const DEEPEST: usize = 256;

/// `document` as JSON without blanks, fields in their order.
///
/// # Errors
/// [`Kind::Damaged`](backup_core::Kind::Damaged) for what is not BSON.
pub fn to_json(document: &RawDocument) -> Result<String> {
    let mut json = String::new();
    write_document(&mut json, document, 0)?;
    Ok(json)
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::damaged("the server sent a document that is not BSON").with_source(error)
}

fn write_document(json: &mut String, document: &RawDocument, depth: usize) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::damaged(format!("documents lie deeper than {DEEPEST} in each other")));
    }
    json.push('{');
    for (at, field) in document.iter().enumerate() {
        let (key, value) = field.map_err(damaged)?;
        if at > 0 {
            json.push(',');
        }
        write_string(json, key.as_str());
        json.push(':');
        write_value(json, value, depth)?;
    }
    json.push('}');
    Ok(())
}

fn write_array(json: &mut String, array: &RawArray, depth: usize) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::damaged(format!("arrays lie deeper than {DEEPEST} in each other")));
    }
    json.push('[');
    for (at, value) in array.into_iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        write_value(json, value.map_err(damaged)?, depth)?;
    }
    json.push(']');
    Ok(())
}

fn write_value(json: &mut String, value: RawBsonRef<'_>, depth: usize) -> Result<()> {
    let of = |json: &mut String, kind: &str, text: &str| {
        json.push_str("{\"");
        json.push_str(kind);
        json.push_str("\":");
        write_string(json, text);
        json.push('}');
    };
    match value {
        RawBsonRef::Document(document) => write_document(json, document, depth + 1)?,
        RawBsonRef::Array(array) => write_array(json, array, depth + 1)?,
        RawBsonRef::String(text) => write_string(json, text),
        RawBsonRef::Boolean(value) => json.push_str(if value { "true" } else { "false" }),
        RawBsonRef::Null => json.push_str("null"),
        RawBsonRef::Undefined => json.push_str("{\"$undefined\":true}"),
        RawBsonRef::MinKey => json.push_str("{\"$minKey\":1}"),
        RawBsonRef::MaxKey => json.push_str("{\"$maxKey\":1}"),
        RawBsonRef::Double(number) => of(json, "$numberDouble", &double(number)),
        RawBsonRef::Int32(number) => of(json, "$numberInt", &number.to_string()),
        RawBsonRef::Int64(number) => of(json, "$numberLong", &number.to_string()),
        RawBsonRef::Decimal128(number) => of(json, "$numberDecimal", &number.to_string()),
        RawBsonRef::ObjectId(id) => of(json, "$oid", &id.to_hex()),
        RawBsonRef::Symbol(text) => of(json, "$symbol", text),
        RawBsonRef::JavaScriptCode(text) => of(json, "$code", text),
        RawBsonRef::DateTime(time) => {
            json.push_str("{\"$date\":");
            of(json, "$numberLong", &time.timestamp_millis().to_string());
            json.push('}');
        }
        // Writing to a string does not fail.
        RawBsonRef::Timestamp(time) => {
            let _ = write!(json, "{{\"$timestamp\":{{\"t\":{},\"i\":{}}}}}", time.time, time.increment);
        }
        RawBsonRef::Binary(binary) => {
            let kind = u8::from(binary.subtype);
            let _ =
                write!(json, "{{\"$binary\":{{\"base64\":\"{}\",\"subType\":\"{kind:02x}\"}}}}", STANDARD.encode(binary.bytes));
        }
        RawBsonRef::RegularExpression(regex) => {
            let mut options: Vec<char> = regex.options.as_str().chars().collect();
            options.sort_unstable();
            json.push_str("{\"$regularExpression\":{\"pattern\":");
            write_string(json, regex.pattern.as_str());
            json.push_str(",\"options\":");
            write_string(json, &options.into_iter().collect::<String>());
            json.push_str("}}");
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            json.push_str("{\"$code\":");
            write_string(json, code.code);
            json.push_str(",\"$scope\":");
            write_document(json, code.scope, depth + 1)?;
            json.push('}');
        }
        RawBsonRef::DbPointer(_) => {
            let (namespace, id) = pointer(value).ok_or_else(|| Error::damaged("the server sent a pointer that is not BSON"))?;
            json.push_str("{\"$dbPointer\":{\"$ref\":");
            write_string(json, &namespace);
            json.push_str(",\"$id\":");
            of(json, "$oid", &id.to_hex());
            json.push_str("}}");
        }
    }
    Ok(())
}

/// What a pointer points at. The library does not say, but as bytes: a text with its length before and a zero behind it, and an ID.
fn pointer(value: RawBsonRef<'_>) -> Option<(String, ObjectId)> {
    let mut holder = RawDocumentBuf::new();
    holder.append(cstr!("p"), value);
    // Behind the length of the document, the type and the name.
    let (_, bytes) = holder.as_bytes().split_at_checked(4 + 1 + 2)?;
    let (length, bytes) = bytes.split_first_chunk()?;
    let (namespace, rest) = bytes.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let namespace = String::from_utf8_lossy(namespace.strip_suffix(&[0])?).into_owned();
    Some((namespace, ObjectId::from_bytes(*rest.first_chunk()?)))
}

/// The shortest text that is this number again: with an exponent of at least two digits below 10^-4 and from 10^6 on.
fn double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    let scientific = format!("{number:E}");
    let (digits, exponent) = scientific.split_once('E').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}E{sign}{:02}", exponent.unsigned_abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

fn write_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use bson::{Bson, doc};

    use super::*;

    fn json(document: &bson::Document) -> String {
        to_json(&RawDocumentBuf::try_from(document).expect("BSON")).expect("JSON")
    }

    #[test]
    fn every_type_has_its_form() {
        let id = ObjectId::parse_str("0123456789abcdef01234567").expect("an ID");
        let binary = bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![0xfb, 0xff, 1] };
        let regex = bson::Regex { pattern: "^a/b".try_into().expect("text"), options: "mi".try_into().expect("text") };
        let scope = bson::JavaScriptCodeWithScope { code: "f(x)".to_owned(), scope: doc! { "x": 1 } };
        for (value, expected) in [
            (Bson::Int32(-3), r#"{"$numberInt":"-3"}"#),
            (Bson::Int64(1 << 40), r#"{"$numberLong":"1099511627776"}"#),
            (Bson::Double(1.0), r#"{"$numberDouble":"1.0"}"#),
            (Bson::Boolean(true), "true"),
            (Bson::Null, "null"),
            (Bson::Undefined, r#"{"$undefined":true}"#),
            (Bson::MinKey, r#"{"$minKey":1}"#),
            (Bson::MaxKey, r#"{"$maxKey":1}"#),
            (Bson::ObjectId(id), r#"{"$oid":"0123456789abcdef01234567"}"#),
            (Bson::DateTime(bson::DateTime::from_millis(-5)), r#"{"$date":{"$numberLong":"-5"}}"#),
            (Bson::Timestamp(bson::Timestamp { time: 7, increment: 8 }), r#"{"$timestamp":{"t":7,"i":8}}"#),
            (Bson::Binary(binary), r#"{"$binary":{"base64":"+/8B","subType":"04"}}"#),
            (Bson::RegularExpression(regex), r#"{"$regularExpression":{"pattern":"^a/b","options":"im"}}"#),
            (Bson::JavaScriptCode("f()".to_owned()), r#"{"$code":"f()"}"#),
            (Bson::JavaScriptCodeWithScope(scope), r#"{"$code":"f(x)","$scope":{"x":{"$numberInt":"1"}}}"#),
            (Bson::Symbol("s".to_owned()), r#"{"$symbol":"s"}"#),
            (Bson::Decimal128("12.50".parse().expect("a number")), r#"{"$numberDecimal":"12.50"}"#),
            (bson::bson!([1, { "b": "c", "a": [] }]), r#"[{"$numberInt":"1"},{"b":"c","a":[]}]"#),
        ] {
            assert_eq!(json(&doc! { "v": value }), format!("{{\"v\":{expected}}}"));
        }
    }

    #[test]
    fn a_pointer_has_its_form_though_nobody_makes_them_any_more() {
        let mut bytes = vec![0, 0, 0, 0, 0x0c, b'v', 0, 6, 0, 0, 0];
        bytes.extend(b"app.c\0");
        bytes.extend([0xab; 12]);
        bytes.push(0);
        bytes[0] = u8::try_from(bytes.len()).expect("short");
        let document = RawDocumentBuf::from_bytes(bytes).expect("BSON");
        let expected = format!(r#"{{"v":{{"$dbPointer":{{"$ref":"app.c","$id":{{"$oid":"{}"}}}}}}}}"#, "ab".repeat(12));
        assert_eq!(to_json(&document).expect("JSON"), expected);
    }

    #[test]
    fn numbers_have_the_form_of_go() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (3600.0, "3600.0"),
            (100_000.0, "100000.0"),
            (1_000_000.0, "1E+06"),
            (123_456_789.0, "1.23456789E+08"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25E-05"),
            (1e300, "1E+300"),
            (-1.5, "-1.5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(number), text);
        }
    }

    #[test]
    fn text_is_escaped_where_it_must_be_and_nowhere_else() {
        let text = "a\"b\\c/\n\r\t\u{8}\u{c}\u{1}\u{7f}\u{2028}é<&>";
        assert_eq!(json(&doc! { text: text }), {
            let escaped = "\"a\\\"b\\\\c/\\n\\r\\t\\b\\f\\u0001\u{7f}\\u2028é<&>\"";
            format!("{{{escaped}:{escaped}}}")
        });
    }

    #[test]
    fn what_nests_without_end_is_refused() {
        let nested = (0..DEEPEST + 2).fold(doc! {}, |inner, _| doc! { "a": inner });
        let error = to_json(&RawDocumentBuf::try_from(&nested).expect("BSON")).expect_err("too deep");
        assert!(error.to_string().contains("deeper"), "{error}");
    }
}
