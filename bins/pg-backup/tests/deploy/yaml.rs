//! YAML as values of JSON; what a typed reader lost of one; every misspelling of it.

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};
use serde_json::{Map, Value};

/// The documents of a file of `deploy/`, in order. A key that is there twice is an error.
pub(crate) fn documents(path: &str) -> Vec<Value> {
    read(path, &crate::text(path))
}

/// The same of what stands in `path`.
pub(crate) fn read(path: &str, text: &str) -> Vec<Value> {
    let documents = serde_norway::Deserializer::from_str(text).map(|document| {
        let value = serde_norway::Value::deserialize(document).unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::to_value(value).expect("keys are text")
    });
    documents.collect()
}

/// Fails if `T` cannot hold `value`, or does not hold all of it: a field that it does not know is lost.
pub(crate) fn holds<T: DeserializeOwned + Serialize>(value: &Value) -> Result<(), String> {
    let typed: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let back = serde_json::to_value(typed).map_err(|error| error.to_string())?;
    same(value, &back, "")
}

fn same(wanted: &Value, found: &Value, at: &str) -> Result<(), String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted.iter().try_for_each(|(key, value)| {
            let at = format!("{at}.{key}");
            found.get(key).ok_or_else(|| format!("nobody knows {at}")).and_then(|found| same(value, found, &at))
        }),
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let mut pairs = wanted.iter().zip(found).enumerate();
            pairs.try_for_each(|(index, (wanted, found))| same(wanted, found, &format!("{at}[{index}]")))
        }
        _ if wanted == found => Ok(()),
        _ => Err(format!("{at} is {wanted} and was read as {found}")),
    }
}

/// A copy for each key of `value` in which that key alone is misspelt, with the place; not of keys within the maps that `free`
/// names, where any key is right.
pub(crate) fn misspelt(value: &Value, free: &[&str]) -> Vec<(String, Value)> {
    let mut copies = Vec::new();
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let mut copy = map.clone();
                let removed = copy.remove(key).unwrap_or_default();
                copy.insert(format!("{key}x"), removed);
                copies.push((key.clone(), Value::Object(copy)));
                if !free.contains(&key.as_str()) {
                    copies.extend(within(misspelt(inner, free), key, |inner| replaced(map, key, inner)));
                }
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                let replace = |inner| {
                    let items = list.iter().enumerate();
                    items.map(|(at, item)| if at == index { Value::clone(&inner) } else { item.clone() }).collect()
                };
                copies.extend(within(misspelt(inner, free), &index.to_string(), replace));
            }
        }
        _ => {}
    }
    copies
}

fn replaced(map: &Map<String, Value>, key: &str, inner: Value) -> Value {
    let mut map = map.clone();
    map.insert(key.to_owned(), inner);
    Value::Object(map)
}

fn within(copies: Vec<(String, Value)>, at: &str, put: impl Fn(Value) -> Value) -> Vec<(String, Value)> {
    copies.into_iter().map(|(place, copy)| (format!("{at}.{place}"), put(copy))).collect()
}

/// Fails the test unless `check` refuses every copy of `value` with a misspelt key.
pub(crate) fn every_misspelling_is_seen(value: &Value, free: &[&str], check: impl Fn(&Value) -> Result<(), String>) {
    assert_eq!(check(value), Ok(()), "{value}");
    let copies = misspelt(value, free);
    assert!(copies.len() > 3, "{value} has few keys");
    for (place, copy) in copies {
        assert!(check(&copy).is_err(), "nobody sees that {place} is misspelt");
    }
}
