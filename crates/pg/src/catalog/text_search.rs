//! Parsers, templates, dictionaries and configurations of text search.

use std::collections::HashMap;

use backup_core::Result;

use super::Reader;
use crate::catalog::Row;
use crate::object::{Kind, Object, class};
use crate::quote::{ident, qualified};

/// Reads what text search is made of.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let function = |option: &str, column: &str| {
        format!("CASE WHEN {column} <> 0 THEN ', {option} = ' || {column}::pg_catalog.regproc::text ELSE '' END")
    };
    let sql = format!(
        "SELECT x.oid, x.prsname::text, x.prsnamespace, NULL::oid, 'START = ' || x.prsstart::pg_catalog.regproc::text || {} \
         FROM pg_catalog.pg_ts_parser x WHERE x.oid >= 16384",
        [
            function("GETTOKEN", "x.prstoken"),
            function("END", "x.prsend"),
            function("HEADLINE", "x.prsheadline"),
            function("LEXTYPES", "x.prslextype")
        ]
        .join(" || ")
    );
    for row in reader.rows_of(class::PG_TS_PARSER, b"", "text search parsers", &sql).await? {
        add(reader, class::PG_TS_PARSER, "PARSER", &row, &[])?;
    }
    let sql = format!(
        "SELECT x.oid, x.tmplname::text, x.tmplnamespace, NULL::oid, 'LEXIZE = ' || x.tmpllexize::pg_catalog.regproc::text || {} \
         FROM pg_catalog.pg_ts_template x WHERE x.oid >= 16384",
        function("INIT", "x.tmplinit")
    );
    for row in reader.rows_of(class::PG_TS_TEMPLATE, b"", "text search templates", &sql).await? {
        add(reader, class::PG_TS_TEMPLATE, "TEMPLATE", &row, &[])?;
    }
    // The options are kept as the text of their list.
    let sql = "SELECT x.oid, x.dictname::text, x.dictnamespace, x.dictowner, \
               pg_catalog.format('TEMPLATE = %I.%I', n.nspname, t.tmplname) || COALESCE(', ' || x.dictinitoption, '') \
               FROM pg_catalog.pg_ts_dict x JOIN pg_catalog.pg_ts_template t ON t.oid = x.dicttemplate \
               JOIN pg_catalog.pg_namespace n ON n.oid = t.tmplnamespace WHERE x.oid >= 16384";
    for row in reader.rows_of(class::PG_TS_DICT, b"", "text search dictionaries", sql).await? {
        add(reader, class::PG_TS_DICT, "DICTIONARY", &row, &[])?;
    }
    let mut mappings = read_mappings(reader).await?;
    let sql = "SELECT x.oid, x.cfgname::text, x.cfgnamespace, x.cfgowner, \
               pg_catalog.format('PARSER = %I.%I', n.nspname, p.prsname) \
               FROM pg_catalog.pg_ts_config x JOIN pg_catalog.pg_ts_parser p ON p.oid = x.cfgparser \
               JOIN pg_catalog.pg_namespace n ON n.oid = p.prsnamespace WHERE x.oid >= 16384";
    for row in reader.rows_of(class::PG_TS_CONFIG, b"", "text search configurations", sql).await? {
        let mappings = mappings.remove(&row.get(0)).unwrap_or_default();
        add(reader, class::PG_TS_CONFIG, "CONFIGURATION", &row, &mappings)?;
    }
    Ok(())
}

/// Reads which dictionaries the tokens of each configuration go to: `token WITH dictionary, …`.
async fn read_mappings(reader: &Reader<'_>) -> Result<HashMap<u32, Vec<String>>> {
    let sql = "SELECT m.mapcfg, t.alias, pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, d.dictname), ', ' \
               ORDER BY m.mapseqno) FROM pg_catalog.pg_ts_config_map m JOIN pg_catalog.pg_ts_config c ON c.oid = m.mapcfg \
               JOIN pg_catalog.pg_ts_dict d ON d.oid = m.mapdict JOIN pg_catalog.pg_namespace n ON n.oid = d.dictnamespace, \
               LATERAL pg_catalog.ts_token_type(c.cfgparser) t \
               WHERE m.mapcfg >= 16384 AND t.tokid = m.maptokentype GROUP BY 1, 2, m.maptokentype ORDER BY 1, m.maptokentype";
    let mut mappings: HashMap<u32, Vec<String>> = HashMap::new();
    for row in reader.rows_of(class::PG_TS_CONFIG, b"", "text search mappings", sql).await? {
        let mapping = format!("{} WITH {}", ident(row.get(1)), row.get::<_, String>(2));
        mappings.entry(row.get(0)).or_default().push(mapping);
    }
    Ok(mappings)
}

/// Adds the object of `row`: OID, name, schema, owner where it can have one, and options.
fn add(reader: &mut Reader<'_>, class: u32, keyword: &str, row: &Row, mappings: &[String]) -> Result<()> {
    let (oid, name, schema, owner): (u32, String, u32, Option<u32>) = (row.get(0), row.get(1), row.get(2), row.get(3));
    if reader.is_member(class, oid) || !reader.is_dumped_schema(schema) {
        return Ok(());
    }
    let schema = reader.schema(schema)?.to_owned();
    let full = qualified(&schema, &name);
    let what = format!("TEXT SEARCH {keyword} {full}");
    let owner = owner.map_or_else(|| Ok(String::new()), |owner| reader.owner_sql(&what, owner))?;
    let mappings: String = mappings.iter().map(|mapping| format!("ALTER {what} ADD MAPPING FOR {mapping};\n")).collect();
    let comment = reader.comment_sql(&what, class, oid, 0);
    let create = format!("CREATE {what} ({});\n{mappings}{owner}{comment}", row.get::<_, String>(4));
    let label = format!("text search {} {schema}.{name}", keyword.to_lowercase());
    let mut object = Object::new(Kind::TextSearch, oid, label, [&schema, &name, keyword], create);
    object.drop = Some(format!("DROP TEXT SEARCH {keyword} IF EXISTS {full};\n"));
    reader.add(class, object);
    Ok(())
}
