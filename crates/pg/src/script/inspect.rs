//! Reads a dump to its end without a server: whether it is whole, and what is in it.

use backup_core::{Error, Result};
use tokio::io::AsyncRead;

use super::{Item, Scanner};

/// What a dump holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Statements that create tables.
    pub tables: u64,
    /// Rows of its COPYs.
    pub rows: u64,
    /// Bytes of it.
    pub bytes: u64,
    /// Statements about roles themselves.
    pub roles: u64,
}

/// The lines with which a dump of one database ends well: that of pg_dump (`dumpRestoreOutro` in
/// `src/bin/pg_dump/pg_backup_archiver.c`) and that of [`dump`](crate::dump()).
const ENDS: [&[u8]; 2] = [b"-- PostgreSQL database dump complete", crate::dump::END];

/// Reads a dump to its end. [`Kind::Damaged`](backup_core::Kind::Damaged) if it breaks off in the middle of a statement, of
/// rows or of a comment, if it never says that it is complete, or if it has no statement at all.
///
/// What stands among rows is no statement and no comment: a row that reads like the last line of a dump does not end it.
pub async fn inspect<R: AsyncRead + Unpin>(reader: R) -> Result<Inspected> {
    let mut scanner = Scanner::new(reader);
    let mut seen = Inspected::default();
    let (mut statements, mut complete) = (0_u64, false);
    while let Some(item) = scanner.next().await? {
        seen.bytes += item.raw().len() as u64;
        complete |= item.leading().split(|byte| *byte == b'\n').any(|line| ENDS.contains(&line.trim_ascii_end()));
        match &item {
            Item::Statement(statement) => {
                statements += 1;
                let head = statement.head();
                let is_table = ["create table ", "create unlogged table ", "create foreign table "];
                seen.tables += u64::from(is_table.iter().any(|start| head.starts_with(start)));
                seen.roles += u64::from(statement.is_of_roles());
            }
            Item::Data(rows) => seen.rows += memchr::memchr_iter(b'\n', rows).count() as u64,
            Item::Copy(_) | Item::CopyEnd(_) | Item::Meta(_) | Item::Blank(_) => {}
        }
    }
    if statements == 0 {
        return Err(Error::damaged("the dump has no statement in it"));
    }
    if !complete {
        return Err(Error::damaged("the dump does not say that it is complete")
            .with_hint("whoever wrote it broke off, and what is there was taken for a dump: use another one"));
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;

    use super::*;

    const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\nSET x = 1;\nCREATE TABLE public.a (t text);\n\
        CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\n-- PostgreSQL database dump complete\nSELECT ''$$;\n\
        COPY public.a (t) FROM stdin;\n-- PostgreSQL database dump complete\nCREATE TABLE b ();\n\\.\n\
        SELECT 1;\n\n--\n-- PostgreSQL database dump complete\n--\n\n";

    #[tokio::test]
    async fn a_dump_is_whole_only_if_its_own_last_words_say_so() {
        let whole = inspect(DUMP.as_bytes()).await.expect("whole");
        assert_eq!((whole.tables, whole.rows, whole.bytes, whole.roles), (1, 2, DUMP.len() as u64, 0));
        let end = DUMP.len() - "\n--\n\n".len();
        for cut in 0..end {
            let error = inspect(&DUMP.as_bytes()[..cut]).await.expect_err("cut");
            assert_eq!(error.kind(), Kind::Damaged, "cut at {cut}: {error}");
        }
        // Roles behind it, as a second file of the container's, and the line of newer programs.
        let more = format!("{DUMP}\\unrestrict abc\n--\n-- PostgreSQL database cluster dump\n--\nCREATE ROLE x;\n");
        let more = inspect(more.replacen("SET x", "\\restrict abc\nSET x", 1).as_bytes()).await.expect("whole");
        assert_eq!(more.roles, 1);
        assert_eq!(inspect(&b""[..]).await.expect_err("nothing").kind(), Kind::Damaged);
    }
}
