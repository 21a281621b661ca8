//! Whether two servers hold the same, in the eyes of the real pg_dumpall.
//!
//! Three things are no difference: where a tablespace's folder is, the random keys of `\restrict`, and the order of rows
//! in a table (in a whole partitioned table where it hashes by an enum, as the numbers behind its labels change).
//! Everything else is, to the byte.

use std::borrow::Cow;
use std::fmt::Write;

use crate::Server;

/// The first difference between what is [`seen`] of `a` and of `b`, for a person to read.
///
/// `None` when there is none. Both servers must be of one version.
pub fn difference(a: &Server, b: &Server) -> Option<String> {
    assert_eq!(a.major(), b.major(), "servers of different versions cannot be compared line by line");
    difference_of(&seen(a), &seen(b))
}

/// What is compared: all of a server, in the words of the real pg_dumpall.
///
/// Without `--clean` it leaves out the settings and rights of the databases that every cluster has.
pub fn seen(server: &Server) -> Vec<u8> {
    server.pg_dumpall(&["--clean"])
}

/// Ends the test, with the first difference, unless both servers hold the same.
#[track_caller]
pub fn assert_same(a: &Server, b: &Server) {
    if let Some(difference) = difference(a, b) {
        panic!("PostgreSQL {}: {difference}", a.major());
    }
}

/// The same of two dumps that pg_dumpall or pg_dump printed.
pub fn difference_of(a: &[u8], b: &[u8]) -> Option<String> {
    let (a, b) = (normalised(a), normalised(b));
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    if same == a.len() && same == b.len() {
        return None;
    }
    let mut said = String::new();
    let here = a.get(..same).unwrap_or_default();
    for mark in [&b"\\connect "[..], b"-- Name: ", b"COPY "] {
        if let Some(line) = here.iter().rev().find(|line| line.starts_with(mark)) {
            let _ = writeln!(said, "  in {}", shown(line));
        }
    }
    for line in here.iter().skip(same.saturating_sub(3)) {
        let _ = writeln!(said, "   {}", shown(line));
    }
    for (sign, lines, others) in [('-', &a, &b), ('+', &b, &a)] {
        let rest = lines.get(same..).unwrap_or_default();
        let other = others.get(same..).unwrap_or_default();
        // Up to where both agree again.
        let differing = rest.iter().position(|line| line.len() > 1 && other.iter().take(200).any(|o| o == line));
        for line in rest.iter().take(differing.unwrap_or(usize::MAX).clamp(1, 12)) {
            let _ = writeln!(said, " {sign} {}", shown(line));
        }
    }
    Some(format!("line {} of {} and {} differs:\n{said}", same + 1, a.len(), b.len()))
}

/// The lines of a dump without what is no difference.
fn normalised(dump: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut lines = Vec::new();
    let mut rows: Option<Vec<Cow<'_, [u8]>>> = None;
    // Rows loaded by way of the partitioned table: which partition had them follows from numbers that a restore changes.
    let (mut by_root, mut through_root) = (false, Vec::new());
    for line in dump.split(|&byte| byte == b'\n') {
        match &mut rows {
            Some(block) if line == b"\\." => {
                if by_root {
                    through_root.append(block);
                } else {
                    block.sort_unstable();
                    lines.append(block);
                }
                lines.push(Cow::Borrowed(line));
                rows = None;
                by_root = false;
            }
            Some(block) => block.push(Cow::Borrowed(line)),
            None => {
                by_root |= line.starts_with(b"-- load via partition root ");
                if line.starts_with(b"COPY ") && line.ends_with(b" FROM stdin;") {
                    rows = Some(Vec::new());
                } else if line.starts_with(b"\\connect ") {
                    through_root.sort_unstable();
                    lines.append(&mut through_root);
                }
                lines.push(outside_of_data(line));
            }
        }
    }
    through_root.sort_unstable();
    lines.append(&mut through_root);
    lines.extend(rows.into_iter().flatten());
    lines
}

fn outside_of_data(line: &[u8]) -> Cow<'_, [u8]> {
    let starts = |prefix: &[u8]| line.starts_with(prefix);
    if starts(b"\\restrict ") || starts(b"\\unrestrict ") {
        return Cow::Borrowed(b"\\restrict");
    }
    // In place, a location is empty; pg_dumpall 15 prints where the server keeps it, which has a number of its own.
    for location in [&b" LOCATION '/"[..], b" LOCATION 'pg_tblspc/"] {
        if starts(b"CREATE TABLESPACE ")
            && let Some(at) = line.windows(location.len()).rposition(|window| window == location)
        {
            return Cow::Owned([line.get(..at).unwrap_or_default(), location].concat());
        }
    }
    Cow::Borrowed(line)
}

/// A line for the terminal: long ones cut, bytes that are no text escaped.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let cut: String = text.chars().take(300).collect();
    if cut.len() < text.len() { format!("{cut}… ({} bytes)", line.len()) } else { cut }
}
