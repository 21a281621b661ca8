//! Uploads that nobody finished: they take room, and no listing of objects shows them.

use backup_ceph::{SharedGateway, Upload};
use backup_cli::Face;
use backup_core::{Kind, Result};
use jiff::{SignedDuration, Timestamp};

use super::{good, tell, words};

/// From how many hours on an upload is told, if none are to be given up: some take long.
const HOURS: u32 = 24;

/// Tells what was begun under `prefix` and not finished; with `abort` it gives up what was begun so many hours ago or more.
pub(super) async fn check(face: &Face, gateway: &SharedGateway, bucket: &str, prefix: &str, abort: Option<u32>) -> Result<()> {
    let hours = abort.unwrap_or(HOURS);
    let until = Timestamp::now().checked_sub(SignedDuration::from_hours(hours.into())).unwrap_or(Timestamp::MIN);
    let uploads = match face.cx.unless_cancelled(gateway.uploads(bucket, prefix)).await {
        Err(error) if error.kind() == Kind::Cancelled || abort.is_some() => return Err(error),
        Err(error) => return tell(face, false, "uploads", &words(&error)),
        Ok(uploads) => uploads,
    };
    let old = older(uploads, until);
    let Some(first) = old.iter().min_by_key(|upload| upload.begun) else {
        return good(face, "uploads", &format!("none is unfinished that was begun {hours} h ago or earlier"));
    };
    let begun = first.begun.map_or_else(String::new, |time| format!(" at {time}"));
    let says = format!("{} begun {hours} h ago or earlier, the first{begun} for {}", old.len(), first.key);
    if abort.is_none() {
        return tell(face, false, "uploads", &format!("{says}: they take room (give them up with --abort-uploads HOURS)"));
    }
    for upload in &old {
        face.cx.unless_cancelled(gateway.abort(bucket, &upload.key, &upload.id)).await?;
    }
    good(face, "uploads", &format!("given up: {says}"))
}

/// What was begun at `when` or before; what has no time was not.
fn older(uploads: Vec<Upload>, when: Timestamp) -> Vec<Upload> {
    uploads.into_iter().filter(|upload| upload.begun.is_some_and(|begun| begun <= when)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_still_be_under_way_is_left_alone() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let upload = |begun: Option<i64>| Upload { key: "k".to_owned(), id: format!("{begun:?}"), begun: begun.map(at) };
        let old = older(vec![upload(Some(99)), upload(Some(100)), upload(Some(101)), upload(None)], at(100));
        assert_eq!(old, [upload(Some(99)), upload(Some(100))]);
    }
}
