//! A row of a catalog, whose text need not be UTF-8.

use crate::raw_text::Raw;

/// A row as [`tokio_postgres::Row`], but text of any encoding comes out as [`raw_text`](crate::raw_text) has it.
#[derive(Debug)]
pub(crate) struct Row {
    row: tokio_postgres::Row,
    /// The columns of text, decoded; empty if the connection gives UTF-8 only.
    texts: Vec<Option<String>>,
}

impl Row {
    /// `raw` says that text need not be UTF-8.
    pub(crate) fn new(row: tokio_postgres::Row, raw: bool) -> Self {
        let texts = if raw { (0..row.len()).map(|at| text(&row, at)).collect() } else { Vec::new() };
        Self { row, texts }
    }

    /// The value in column `at`; its type is that of the query, which is ours.
    pub(crate) fn get<'a, I: At, T: Value<'a>>(&'a self, at: I) -> T {
        T::of(self, at.at())
    }

    fn is_raw(&self) -> bool {
        !self.texts.is_empty()
    }
}

fn text(row: &tokio_postgres::Row, at: usize) -> Option<String> {
    row.try_get::<_, Option<Raw>>(at).ok()?.map(|Raw(text)| text)
}

/// A place in a row, so that a bare number is one.
pub(crate) trait At {
    /// It.
    fn at(self) -> usize;
}

impl At for usize {
    fn at(self) -> usize {
        self
    }
}

/// What can be taken out of a row.
pub(crate) trait Value<'a>: Sized {
    /// Takes it out of column `at`.
    fn of(row: &'a Row, at: usize) -> Self;
}

macro_rules! as_they_are {
    ($($type:ty),*) => {$(
        impl<'a> Value<'a> for $type {
            fn of(row: &'a Row, at: usize) -> Self { row.row.get(at) }
        }
        impl<'a> Value<'a> for Option<$type> {
            fn of(row: &'a Row, at: usize) -> Self { row.row.get(at) }
        }
    )*};
}
as_they_are!(bool, i8, i16, i32, i64, u32, f32, Vec<u32>, Vec<i16>, Vec<i32>, Vec<bool>);

impl<'a> Value<'a> for Option<&'a str> {
    fn of(row: &'a Row, at: usize) -> Self {
        if row.is_raw() { row.texts.get(at)?.as_deref() } else { row.row.get(at) }
    }
}

impl<'a> Value<'a> for &'a str {
    fn of(row: &'a Row, at: usize) -> Self {
        if row.is_raw() { Option::<&str>::of(row, at).unwrap_or_default() } else { row.row.get(at) }
    }
}

impl<'a> Value<'a> for Option<String> {
    fn of(row: &'a Row, at: usize) -> Self {
        Option::<&str>::of(row, at).map(str::to_owned)
    }
}

impl<'a> Value<'a> for String {
    fn of(row: &'a Row, at: usize) -> Self {
        <&str>::of(row, at).to_owned()
    }
}

impl<'a> Value<'a> for Option<Vec<Option<String>>> {
    fn of(row: &'a Row, at: usize) -> Self {
        let raw: Option<Vec<Option<Raw>>> = row.row.get(at);
        raw.map(|values| values.into_iter().map(|value| value.map(|Raw(text)| text)).collect())
    }
}

impl<'a> Value<'a> for Option<Vec<String>> {
    fn of(row: &'a Row, at: usize) -> Self {
        let raw: Option<Vec<Raw>> = row.row.get(at);
        raw.map(|values| values.into_iter().map(|Raw(text)| text).collect())
    }
}

impl<'a> Value<'a> for Vec<String> {
    fn of(row: &'a Row, at: usize) -> Self {
        Option::<Self>::of(row, at).unwrap_or_default()
    }
}
