//! Extended JSON as every version of `mongodump` has written it, read into BSON: canonical, relaxed, and the first version's.

use backup_core::{Error, Result};
use bson::{Bson, Document};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Reads one document. The order of its fields is kept: of an index it is the meaning.
///
/// What is no JSON, is nested more than 128 levels deep, or says of a value what cannot be, is
/// [`Kind::Damaged`](backup_core::Kind::Damaged).
pub fn document(json: &[u8]) -> Result<Document> {
    let json: Json = serde_json::from_slice(json).map_err(|error| Error::damaged("it is no JSON").with_source(error))?;
    match value(json, false)? {
        Bson::Document(document) => Ok(document),
        _ => Err(Error::damaged("it is JSON, and no document")),
    }
}

/// JSON with the fields of an object in their order.
#[derive(Debug, Clone, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// A value; `listed` says whether it stands in an array.
fn value(json: Json, listed: bool) -> Result<Bson> {
    Ok(match json {
        Json::Null => Bson::Null,
        Json::Bool(value) => Bson::Boolean(value),
        Json::Int(value) => i32::try_from(value).map_or(Bson::Int64(value), Bson::Int32),
        Json::Double(value) => Bson::Double(value),
        Json::Text(value) => Bson::String(value),
        Json::Array(values) => Bson::Array(values.into_iter().map(|item| value(item, true)).collect::<Result<_>>()?),
        Json::Object(fields) => {
            if let Some(special) = special(&fields, listed)? {
                return Ok(special);
            }
            let mut document = Document::new();
            for (name, field) in fields {
                if name.contains('\0') {
                    return Err(Error::damaged("a field has a NUL in its name"));
                }
                document.insert(name, value(field, false)?);
            }
            Bson::Document(document)
        }
    })
}

/// What an object means whose fields say that it is a value of a kind that JSON does not have.
fn special(fields: &[(String, Json)], listed: bool) -> Result<Option<Bson>> {
    let wrong = |name: &str| Error::damaged(format!("{name} has a value that it cannot have"));
    Ok(Some(match fields {
        [(name, Json::Text(text))] => match name.as_str() {
            "$oid" => Bson::ObjectId(text.parse().map_err(|_| wrong(name))?),
            "$symbol" => Bson::Symbol(text.clone()),
            "$code" => Bson::JavaScriptCode(text.clone()),
            "$numberInt" => Bson::Int32(text.parse().map_err(|_| wrong(name))?),
            "$numberLong" => Bson::Int64(text.parse().map_err(|_| wrong(name))?),
            "$numberDouble" => Bson::Double(double(text).ok_or_else(|| wrong(name))?),
            "$numberDecimal" => Bson::Decimal128(text.parse().map_err(|_| wrong(name))?),
            "$uuid" => Bson::Binary(bson::Uuid::parse_str(text).map_err(|_| wrong(name))?.into()),
            "$date" => {
                let time: jiff::Timestamp = text.parse().map_err(|_| wrong(name))?;
                Bson::DateTime(bson::DateTime::from_millis(time.as_millisecond()))
            }
            _ => return Ok(None),
        },
        [(name, Json::Int(number))] => match name.as_str() {
            "$minKey" => Bson::MinKey,
            "$maxKey" => Bson::MaxKey,
            "$numberLong" => Bson::Int64(*number),
            "$date" => Bson::DateTime(bson::DateTime::from_millis(*number)),
            _ => return Ok(None),
        },
        [(name, Json::Bool(true))] if name == "$undefined" => Bson::Undefined,
        [(name, Json::Object(inner))] => match (name.as_str(), inner.as_slice()) {
            ("$date", [(long, Json::Text(_) | Json::Int(_))]) if long == "$numberLong" => match special(inner, false)? {
                Some(Bson::Int64(number)) => Bson::DateTime(bson::DateTime::from_millis(number)),
                _ => return Err(wrong(name)),
            },
            ("$timestamp", [(t, Json::Int(time)), (i, Json::Int(increment))]) if (t.as_str(), i.as_str()) == ("t", "i") => {
                let number = |number: i64| u32::try_from(number).map_err(|_| wrong(name));
                Bson::Timestamp(bson::Timestamp { time: number(*time)?, increment: number(*increment)? })
            }
            ("$binary", inner) => match texts(inner, ["base64", "subType"]) {
                Some([base64, kind]) => binary(base64, kind).ok_or_else(|| wrong(name))?,
                None => return Ok(None),
            },
            ("$regularExpression", inner) => match texts(inner, ["pattern", "options"]) {
                Some([pattern, options]) => regex(pattern, options).ok_or_else(|| wrong(name))?,
                None => return Ok(None),
            },
            _ => return Ok(None),
        },
        // The first version's.
        [(name, Json::Text(base64)), (of, Json::Text(kind))] if name == "$binary" && of == "$type" => {
            binary(base64, kind).ok_or_else(|| wrong(name))?
        }
        // In a query an object with these fields is a condition, and stays one; as an item of a list it can only be a value.
        [(name, Json::Text(pattern)), (of, Json::Text(options))] if listed && name == "$regex" && of == "$options" => {
            regex(pattern, options).ok_or_else(|| wrong(name))?
        }
        [(name, Json::Text(code)), (of, Json::Object(_))] if name == "$code" && of == "$scope" => {
            match fields.get(1).map(|(_, scope)| value(scope.clone(), false)).transpose()? {
                Some(Bson::Document(scope)) => {
                    Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: code.clone(), scope })
                }
                _ => return Err(wrong(name)),
            }
        }
        _ => return Ok(None),
    }))
}

/// The texts of exactly these two fields, in any order.
fn texts<'a>(fields: &'a [(String, Json)], names: [&str; 2]) -> Option<[&'a str; 2]> {
    let find = |name: &str| match fields.iter().find(|(field, _)| field == name) {
        Some((_, Json::Text(text))) => Some(text.as_str()),
        _ => None,
    };
    let [first, second] = names;
    if fields.len() == 2 { Some([find(first)?, find(second)?]) } else { None }
}

fn double(text: &str) -> Option<f64> {
    match text {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => text.parse().ok(),
        _ => None,
    }
}

/// `kind` is one or two hexadecimal digits.
fn binary(base64: &str, kind: &str) -> Option<Bson> {
    let subtype = u8::from_str_radix(kind, 16).ok().filter(|_| kind.len() <= 2)?;
    bson::Binary::from_base64(base64, bson::spec::BinarySubtype::from(subtype)).ok().map(Bson::Binary)
}

fn regex(pattern: &str, options: &str) -> Option<Bson> {
    let text = |text: &str| bson::raw::CString::try_from(text).ok();
    Some(Bson::RegularExpression(bson::Regex { pattern: text(pattern)?, options: text(options)? }))
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Double(value as f64), Json::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        let mut names = std::collections::HashSet::new();
        while let Some((name, value)) = fields.next_entry::<String, Json>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a field is there twice"));
            }
            object.push((name, value));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn one(json: &str) -> Bson {
        document(format!(r#"{{"v": {json}}}"#).as_bytes()).expect(json).get("v").expect("v").clone()
    }

    #[test]
    fn every_kind_in_every_form_it_was_written_in() {
        let date = Bson::DateTime(bson::DateTime::from_millis(1_356_351_330_501));
        let three = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2, 3] };
        let regex = bson::Regex { pattern: bson::raw::cstr!("^a").into(), options: bson::raw::cstr!("i").into() };
        for (json, expected) in [
            ("1", Bson::Int32(1)),
            ("-1", Bson::Int32(-1)),
            ("2147483648", Bson::Int64(2_147_483_648)),
            ("1.0", Bson::Double(1.0)),
            ("18446744073709551615", Bson::Double(18_446_744_073_709_551_615.0)),
            ("null", Bson::Null),
            ("true", Bson::Boolean(true)),
            (r#""$oid""#, Bson::String("$oid".into())),
            (r#"{"$numberInt": "-7"}"#, Bson::Int32(-7)),
            (r#"{"$numberLong": "7"}"#, Bson::Int64(7)),
            (r#"{"$numberLong": 7}"#, Bson::Int64(7)),
            (r#"{"$numberDouble": "-0.0"}"#, Bson::Double(-0.0)),
            (r#"{"$numberDouble": "1.5E+10"}"#, Bson::Double(1.5e10)),
            (r#"{"$numberDouble": "-Infinity"}"#, Bson::Double(f64::NEG_INFINITY)),
            (r#"{"$numberDecimal": "0.1"}"#, Bson::Decimal128("0.1".parse().expect("a decimal"))),
            (r#"{"$oid": "507f1f77bcf86cd799439011"}"#, Bson::ObjectId("507f1f77bcf86cd799439011".parse().expect("an ID"))),
            (r#"{"$date": {"$numberLong": "1356351330501"}}"#, date.clone()),
            (r#"{"$date": "2012-12-24T12:15:30.501Z"}"#, date.clone()),
            (r#"{"$date": "2012-12-24T07:15:30.501-0500"}"#, date.clone()),
            (r#"{"$date": 1356351330501}"#, date),
            (r#"{"$timestamp": {"t": 4294967295, "i": 1}}"#, Bson::Timestamp(bson::Timestamp { time: u32::MAX, increment: 1 })),
            (r#"{"$binary": {"base64": "AQID", "subType": "00"}}"#, Bson::Binary(three.clone())),
            (r#"{"$binary": "AQID", "$type": "00"}"#, Bson::Binary(three)),
            (r#"{"$regularExpression": {"pattern": "^a", "options": "i"}}"#, Bson::RegularExpression(regex.clone())),
            (r#"[{"$regex": "^a", "$options": "i"}]"#, Bson::Array(vec![Bson::RegularExpression(regex)])),
            (r#"{"$regex": "^a", "$options": "i"}"#, Bson::Document(doc! { "$regex": "^a", "$options": "i" })),
            (r#"{"$symbol": "s"}"#, Bson::Symbol("s".into())),
            (r#"{"$code": "f()"}"#, Bson::JavaScriptCode("f()".into())),
            (
                r#"{"$code": "f()", "$scope": {"x": {"$numberInt": "1"}}}"#,
                Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "x": 1 } }),
            ),
            (r#"{"$minKey": 1}"#, Bson::MinKey),
            (r#"{"$maxKey": 1}"#, Bson::MaxKey),
            (r#"{"$undefined": true}"#, Bson::Undefined),
            // What a query says is no kind of value.
            (r#"{"$gt": {"$numberInt": "1"}}"#, Bson::Document(doc! { "$gt": 1 })),
            (r#"{"$type": "date"}"#, Bson::Document(doc! { "$type": "date" })),
        ] {
            assert_eq!(one(json), expected, "{json}");
        }
        assert!(matches!(one(r#"{"$numberDouble": "NaN"}"#), Bson::Double(number) if number.is_nan()));
    }

    #[test]
    fn the_order_of_fields_is_kept() {
        let index = document(br#"{"z": 1, "a": -1, "m": "text", "b": 1}"#).expect("a document");
        assert_eq!(index.keys().collect::<Vec<_>>(), ["z", "a", "m", "b"]);
    }

    #[test]
    fn what_cannot_be_is_damage() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
        for json in [
            "",
            "{",
            "[]",
            "1",
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": {"$oid": "x"}}"#,
            r#"{"a": {"$numberInt": "2147483648"}}"#,
            r#"{"a": {"$numberDouble": "inf"}}"#,
            r#"{"a": {"$date": "yesterday"}}"#,
            r#"{"a": {"$binary": {"base64": "?", "subType": "00"}}}"#,
            r#"{"a": {"$binary": {"base64": "AQID", "subType": "100"}}}"#,
            r#"{"a": {"$timestamp": {"t": -1, "i": 1}}}"#,
            r#"{"a": {"$regularExpression": {"pattern": "\u0000", "options": ""}}}"#,
            r#"{"\u0000": 1}"#,
            &deep,
        ] {
            let error = document(json.as_bytes()).expect_err(json);
            assert_eq!(error.kind(), backup_core::Kind::Damaged, "{json}");
        }
    }
}
