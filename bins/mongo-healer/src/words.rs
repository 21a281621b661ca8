//! What was found out about a collection and done with it, in words.

use backup_mongo::diagnose::{Remedy, State, Verdict};
use backup_mongo::heal::Done;

/// What was found.
pub(crate) fn state(verdict: &Verdict) -> String {
    let state = match &verdict.state {
        State::Healthy if verdict.missing_indexes.is_empty() => "healthy".to_owned(),
        State::Healthy => String::new(),
        State::Gone => "gone".to_owned(),
        State::Emptied(kept) => format!("emptied, {kept} documents in the backup"),
        State::Shrunk(there, kept) => format!("shrunk to {there} documents, {kept} in the backup"),
        State::Half(_, of) => format!("half there, {} documents in the backup", of.documents),
        State::Different(there, kept) => format!("a {there:?}, in the backup a {kept:?}").to_lowercase(),
        State::CannotTell(why) => format!("not known: {why}"),
    };
    if verdict.missing_indexes.is_empty() {
        return state;
    }
    let missing = format!("without the indexes {}", verdict.missing_indexes.join(", "));
    if state.is_empty() { missing } else { format!("{state}, {missing}") }
}

/// What was done, or would be.
pub(crate) fn done(verdict: &Verdict, done: Option<&Done>) -> Option<String> {
    Some(match (done, verdict.remedy) {
        (Some(Done::Restored { backup, documents: 0 }), _) => format!("restored out of {backup}, where it has no documents"),
        (Some(Done::Restored { backup, documents }), _) => format!("restored {documents} documents out of {backup}"),
        (Some(Done::Appeared), _) => "somebody made it meanwhile: left as it is".to_owned(),
        (Some(Done::Added { backup, documents }), _) => format!("added {documents} documents out of {backup}"),
        (Some(Done::Indexed), _) => "indexes built".to_owned(),
        (Some(Done::Failed(error)), _) => error.chain(),
        (None, Remedy::Nothing) => return None,
        (None, Remedy::NoBackup) => "no backup has it".to_owned(),
        (None, Remedy::Restore) => "would be restored".to_owned(),
        (None, Remedy::Add { .. }) => "would be added to".to_owned(),
        (None, Remedy::Indexes) => "indexes would be built".to_owned(),
    })
}
