//! Where a big collection is cut: values of `_id`, picked from a sample.

use backup_core::Result;
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::Database;

use crate::cursor::Slice;
use crate::mongo_error::mongo_error;

/// The most ranges that a collection is cut into.
const MOST: u64 = 1000;

/// How many values are picked for each range: ranges of a sample are of about the same size, not of exactly the same.
const SAMPLED: u64 = 10;

/// The ranges of a collection of so many bytes, each of about `range` bytes, in the order of the index; together they are all of it.
pub(crate) async fn cut(database: &Database, name: &str, bytes: u64, range: u64) -> Result<Vec<Slice>> {
    let wanted = (bytes / range.max(1)).min(MOST);
    if wanted < 2 {
        return Ok(vec![Slice::All]);
    }
    let stages = [
        doc! { "$sample": { "size": i64::try_from(wanted * SAMPLED).unwrap_or(i64::MAX) } },
        doc! { "$project": { "_id": 1 } },
        doc! { "$sort": { "_id": 1 } },
    ];
    let doing = || format!("find where to cut {}.{name}", database.name());
    let cursor = database.collection::<Document>(name).aggregate(stages).await.map_err(|error| mongo_error(doing(), &error))?;
    let sample: Vec<Document> = cursor.try_collect().await.map_err(|error| mongo_error(doing(), &error))?;
    let ids = sample.into_iter().filter_map(|mut document| document.remove("_id"));
    Ok(slices(ids.skip(usize::try_from(SAMPLED).unwrap_or(1)).step_by(usize::try_from(SAMPLED).unwrap_or(1))))
}

/// The ranges between values that stand in their order.
fn slices(cuts: impl Iterator<Item = Bson>) -> Vec<Slice> {
    let mut cuts: Vec<Document> = cuts.map(|id| doc! { "_id": id }).collect();
    // A sample may have the same document twice.
    cuts.dedup();
    let from = std::iter::once(None).chain(cuts.iter().cloned().map(Some));
    let to = cuts.iter().cloned().map(Some).chain(std::iter::once(None));
    match cuts.is_empty() {
        true => vec![Slice::All],
        false => from.zip(to).map(|(from, to)| Slice::Range(from, to)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_leave_nothing_out_and_have_nothing_twice() {
        let id = |id: i32| Some(doc! { "_id": id });
        let cuts = [1, 1, 5].map(Bson::Int32);
        let ranges = [(None, id(1)), (id(1), id(5)), (id(5), None)].map(|(from, to)| Slice::Range(from, to));
        assert_eq!(slices(cuts.into_iter()), ranges);
        assert_eq!(slices(std::iter::empty()), [Slice::All]);
    }
}
