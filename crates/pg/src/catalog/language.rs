//! Procedural languages that users made; those of extensions come with them.

use backup_core::Result;

use super::Reader;
use crate::acl;
use crate::object::{Kind, Object, class};
use crate::quote::ident;

/// Reads the languages; and the privileges of those of the system and of extensions where they were changed.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let function = |column: &str| {
        format!(
            "(SELECT pg_catalog.format('%I.%I', n.nspname, p.proname) FROM pg_catalog.pg_proc p \
             JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = l.{column})"
        )
    };
    let sql = format!(
        "SELECT l.oid, l.lanname::text, l.lanowner, l.lanacl::text, l.lanpltrusted, {}, {}, {} FROM pg_catalog.pg_language l \
         WHERE (l.oid >= 16384 AND l.lanispl) OR l.lanacl IS NOT NULL",
        function("lanplcallfoid"),
        function("laninline"),
        function("lanvalidator")
    );
    for row in reader.rows_of(class::PG_LANGUAGE, b"", "languages", &sql).await? {
        let (oid, name, owner, trusted): (u32, String, u32, bool) = (row.get(0), row.get(1), row.get(2), row.get(4));
        let privileges: Option<String> = row.get(3);
        let what = format!("LANGUAGE {}", ident(&name));
        let acl =
            acl::acl_sql(reader, acl::Kind::Language, &what, None, class::PG_LANGUAGE, oid, 0, owner, privileges.as_deref())?;
        let given = oid < 16_384 || reader.is_member(class::PG_LANGUAGE, oid);
        let order = ["", name.as_str(), ""];
        if given {
            if !acl.is_empty() {
                let mut object = Object::new(Kind::Language, oid, format!("language {name}"), order, String::new());
                object.acl = acl;
                reader.add_derived(object);
            }
            continue;
        }
        let trusted = if trusted { "TRUSTED " } else { "" };
        let functions = ["HANDLER", "INLINE", "VALIDATOR"].iter().enumerate().filter_map(|(place, keyword)| {
            let function: Option<String> = row.get(5 + place);
            function.map(|function| format!(" {keyword} {function}"))
        });
        let create = format!("CREATE {trusted}PROCEDURAL {what}{};\n", functions.collect::<String>())
            + &reader.owner_sql(&what, owner)?
            + &reader.comment_sql(&what, class::PG_LANGUAGE, oid, 0);
        let mut object = Object::new(Kind::Language, oid, format!("language {name}"), order, create);
        object.acl = acl;
        object.drop = Some(format!("DROP LANGUAGE IF EXISTS {};\n", ident(&name)));
        reader.add(class::PG_LANGUAGE, object);
    }
    Ok(())
}
