//! What faults do to a sync: the column of ours in `docs/faults.md` is what it does.

use std::path::Path;

use backup_tests::Rgw;
use backup_tests::faults::table::{self, Program, Scale};

/// Few objects make many pages, and two pieces of 8 MiB are several.
const SMALL: Scale = Scale { page: 4, large: 12 << 20 };

#[test]
fn the_page_of_faults_says_what_ours_does() {
    let Some(rgw) = Rgw::with_pages_of(SMALL.page) else { return };
    let keys = rgw.user("page");
    let ours = Path::new(env!("CARGO_BIN_EXE_ceph-backup"));
    let cells = table::column(&rgw, &keys, "page", &Program::Ours(ours.to_owned()), ours, SMALL);
    let page = include_str!("../../../../docs/faults.md");
    for cell in &cells {
        assert!(cell.is_good(), "{cell:?}");
        let row = format!("| {} | {} |", cell.case, cell.text);
        assert!(page.contains(&row), "docs/faults.md has no row that begins so: {row}");
    }
    // Beside those of its head.
    let rows = page.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(rows, cells.len() + 2, "rows of docs/faults.md");
}
