//! Two lists in byte order of their names, side by side and no more than a line of each in memory.

use std::pin::Pin;

use backup_core::{Error, Result};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};

/// A line of a list.
pub(super) trait Named {
    /// What lists are in order of, byte by byte.
    fn name(&self) -> &str;
}

/// A line that one list has, or both have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pair<L, R> {
    /// The first alone.
    Left(L),
    /// The second alone.
    Right(R),
    /// Both.
    Both(L, R),
}

impl<L: Named, R: Named> Named for Pair<L, R> {
    fn name(&self) -> &str {
        match self {
            Self::Left(left) | Self::Both(left, _) => left.name(),
            Self::Right(right) => right.name(),
        }
    }
}

/// `list`, which ends in an error where it is not in strict byte order; `what` names it in that error.
///
/// What follows an error is not read: a list that broke off is never taken for one that has ended.
pub(super) fn ordered<'a, T: Named + Send + 'a>(
    list: impl Stream<Item = Result<T>> + Send + 'a,
    what: String,
) -> BoxStream<'a, Result<T>> {
    struct State<S>(Pin<Box<S>>, Option<String>, String);
    stream::try_unfold(State(Box::pin(list), None, what), async |mut state| {
        let Some(line) = state.0.next().await.transpose()? else { return Ok(None) };
        if let Some(before) = state.1.as_deref().filter(|before| *before >= line.name()) {
            let how = if before == line.name() { "has it twice".to_owned() } else { format!("has it after {before:?}") };
            return Err(Error::damaged(format!("{} is not in order: it {how}: {:?}", state.2, line.name()))
                .with_hint("nothing was deleted; what comes in another order cannot be compared"));
        }
        let last = state.1.get_or_insert_default();
        line.name().clone_into(last);
        Ok(Some((line, state)))
    })
    .boxed()
}

/// Two lists, each of them [`ordered`], as one. It ends once both have; an error of either is its last line.
pub(super) fn merge<'a, L: Named + Send + 'a, R: Named + Send + 'a>(
    left: BoxStream<'a, Result<L>>,
    right: BoxStream<'a, Result<R>>,
) -> BoxStream<'a, Result<Pair<L, R>>> {
    struct State<'a, L, R> {
        left: stream::Fuse<BoxStream<'a, Result<L>>>,
        right: stream::Fuse<BoxStream<'a, Result<R>>>,
        heads: (Option<L>, Option<R>),
    }
    let state = State { left: left.fuse(), right: right.fuse(), heads: (None, None) };
    stream::try_unfold(state, async |mut state| {
        if state.heads.0.is_none() {
            state.heads.0 = state.left.next().await.transpose()?;
        }
        if state.heads.1.is_none() {
            state.heads.1 = state.right.next().await.transpose()?;
        }
        let pair = match (state.heads.0.take(), state.heads.1.take()) {
            (None, None) => return Ok(None),
            (Some(left), None) => Pair::Left(left),
            (None, Some(right)) => Pair::Right(right),
            (Some(left), Some(right)) => match left.name().cmp(right.name()) {
                std::cmp::Ordering::Equal => Pair::Both(left, right),
                std::cmp::Ordering::Less => {
                    state.heads.1 = Some(right);
                    Pair::Left(left)
                }
                std::cmp::Ordering::Greater => {
                    state.heads.0 = Some(left);
                    Pair::Right(right)
                }
            },
        };
        Ok(Some((pair, state)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use backup_core::Kind;
    use futures_util::TryStreamExt;
    use proptest::prelude::*;

    use super::*;

    impl Named for String {
        fn name(&self) -> &str {
            self
        }
    }

    fn list(names: Vec<String>, breaks: bool) -> BoxStream<'static, Result<String>> {
        let error = breaks.then(|| Err(Error::failed("broken off")));
        ordered(stream::iter(names.into_iter().map(Ok).chain(error)), "the list".to_owned())
    }

    fn names() -> impl Strategy<Value = BTreeSet<String>> {
        proptest::collection::btree_set("[ab/\u{e4}-]{1,3}", 0..12)
    }

    proptest! {
        #[test]
        fn every_name_comes_once_and_from_where_it_is(left in names(), right in names()) {
            let merged = merge(list(left.iter().cloned().collect(), false), list(right.iter().cloned().collect(), false));
            let merged: Vec<_> = futures_util::FutureExt::now_or_never(merged.try_collect()).expect("ready").expect("no error");
            let expected: Vec<_> = left.union(&right).map(|name| match (left.contains(name), right.contains(name)) {
                (true, true) => Pair::Both(name.clone(), name.clone()),
                (true, false) => Pair::Left(name.clone()),
                _ => Pair::Right(name.clone()),
            }).collect();
            prop_assert_eq!(merged, expected);
        }

        #[test]
        fn a_list_that_breaks_off_shows_nothing_of_the_other_as_missing(left in names(), cut in 0usize..12, right in names()) {
            let kept: Vec<String> = left.iter().take(cut).cloned().collect();
            let merged = merge(list(kept, true), list(right.iter().cloned().collect(), false));
            let merged: Vec<_> = futures_util::FutureExt::now_or_never(merged.collect::<Vec<_>>()).expect("ready");
            prop_assert!(merged.last().is_some_and(|last| last.is_err()), "it ends in the error");
            let missing = merged.iter().filter_map(|pair| match pair { Ok(Pair::Right(name)) => Some(name), _ => None });
            for name in missing {
                prop_assert!(!left.contains(name), "{name} is in the source");
            }
        }
    }

    #[tokio::test]
    async fn a_list_out_of_order_is_an_error_that_says_where() {
        for names in [["a/", "a-"], ["a", "a"]] {
            let error = list(names.map(str::to_owned).to_vec(), false).try_collect::<Vec<_>>().await.expect_err("not in order");
            assert_eq!(error.kind(), Kind::Damaged);
            assert!(error.chain().contains(names[1]), "{error:?}");
        }
    }
}
