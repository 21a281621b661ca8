//! Collations of every provider.

use backup_core::Result;

use super::Reader;
use crate::object::{Kind, Object, class};
use crate::quote::{literal, qualified};
use crate::version::Version;

/// Reads the collations.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let (locale, rules) = columns(reader.version);
    let sql = format!(
        "SELECT c.oid, c.collname::text, c.collnamespace, c.collowner, c.collprovider::text, c.collisdeterministic, \
         c.collcollate::text, c.collctype::text, {locale}::text, {rules}::text FROM pg_catalog.pg_collation c \
         WHERE c.oid >= 16384 AND c.collencoding IN (-1, (SELECT d.encoding FROM pg_catalog.pg_database d \
         WHERE d.datname = pg_catalog.current_database()))"
    );
    for row in reader.rows_of(class::PG_COLLATION, b"", "collations", &sql).await? {
        let (oid, name, schema, owner): (u32, String, u32, u32) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if reader.is_member(class::PG_COLLATION, oid) || !reader.is_dumped_schema(schema) {
            continue;
        }
        let collation = Collation {
            provider: row.get(4),
            deterministic: row.get(5),
            collate: row.get(6),
            ctype: row.get(7),
            locale: row.get(8),
            rules: row.get(9),
        };
        let schema = reader.schema(schema)?.to_owned();
        let full = qualified(&schema, &name);
        let what = format!("COLLATION {full}");
        let create = format!("CREATE {what} ({});\n", collation.options())
            + &reader.owner_sql(&what, owner)?
            + &reader.comment_sql(&what, class::PG_COLLATION, oid, 0);
        let mut object = Object::new(Kind::Collation, oid, format!("collation {schema}.{name}"), [&schema, &name, ""], create);
        object.drop = Some(format!("DROP COLLATION IF EXISTS {full};\n"));
        reader.add(class::PG_COLLATION, object);
    }
    Ok(())
}

/// The columns that hold the locale of ICU and builtin collations, and the rules of ICU ones. Before 15 ICU's locale is where
/// that of libc is.
fn columns(version: Version) -> (&'static str, &'static str) {
    match version.major() {
        ..=14 => ("NULL", "NULL"),
        15 => ("c.colliculocale", "NULL"),
        16 => ("c.colliculocale", "c.collicurules"),
        _ => ("c.colllocale", "c.collicurules"),
    }
}

struct Collation {
    provider: String,
    deterministic: bool,
    collate: Option<String>,
    ctype: Option<String>,
    locale: Option<String>,
    rules: Option<String>,
}

impl Collation {
    /// What stands in the parentheses of `CREATE COLLATION`.
    fn options(&self) -> String {
        let provider = match self.provider.as_str() {
            "i" => "icu",
            "b" => "builtin",
            "d" => "default",
            _ => "libc",
        };
        let mut options = vec![format!("provider = {provider}")];
        if !self.deterministic {
            options.push("deterministic = false".to_owned());
        }
        match (&self.locale, &self.collate, &self.ctype) {
            (Some(locale), _, _) => options.push(format!("locale = {}", literal(locale))),
            (None, Some(collate), Some(ctype)) if collate == ctype => options.push(format!("locale = {}", literal(collate))),
            (None, collate, ctype) => {
                options.extend(collate.iter().map(|collate| format!("lc_collate = {}", literal(collate))));
                options.extend(ctype.iter().map(|ctype| format!("lc_ctype = {}", literal(ctype))));
            }
        }
        options.extend(self.rules.iter().map(|rules| format!("rules = {}", literal(rules))));
        options.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_says_its_locale() {
        let collation = |provider: &str, collate: Option<&str>, ctype: Option<&str>, locale: Option<&str>| Collation {
            provider: provider.to_owned(),
            deterministic: true,
            collate: collate.map(str::to_owned),
            ctype: ctype.map(str::to_owned),
            locale: locale.map(str::to_owned),
            rules: None,
        };
        assert_eq!(collation("c", Some("C"), Some("C"), None).options(), "provider = libc, locale = 'C'");
        let two = collation("c", Some("C"), Some("POSIX"), None);
        assert_eq!(two.options(), "provider = libc, lc_collate = 'C', lc_ctype = 'POSIX'");
        let icu =
            Collation { deterministic: false, rules: Some("&a < 'b'".to_owned()), ..collation("i", None, None, Some("de")) };
        assert_eq!(icu.options(), "provider = icu, deterministic = false, locale = 'de', rules = '&a < ''b'''");
    }
}
