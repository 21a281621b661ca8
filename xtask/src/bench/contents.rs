//! What a server holds, told by the server itself and not by a program that is measured.

use backup_tests::Server;

use super::Result;

/// The definitions as the real pg_dumpall prints them, and of each table of `databases` the number and the hash of its rows.
pub(super) fn of<D: AsRef<str>>(server: &Server, databases: &[D]) -> Result<String> {
    let mut definitions = String::from_utf8(server.pg_dumpall(&["--schema-only"]))?;
    // Random keys, and the folder of nothing else.
    definitions = definitions.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict")).fold(
        String::new(),
        |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        },
    );
    let tables = "SELECT format('SELECT %L, count(*), sum(hashtextextended(t::text, 0)::numeric) FROM %I.%I t', c.oid::regclass, n.nspname, c.relname) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname !~ '^pg_|^information_schema$' \
         ORDER BY n.nspname, c.relname\n\\gexec\n\
         SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2;\n\
         SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1;\n";
    let script = format!("SET timezone = 'UTC'; SET max_parallel_workers_per_gather = 0;\n{tables}");
    for database in databases {
        definitions += &String::from_utf8(server.feed(database.as_ref(), &[], script.as_bytes())?)?;
    }
    Ok(definitions)
}
