//! What others do while a request is under way.

use std::fmt;

/// What happens just before a request is answered.
pub(super) struct Meanwhile {
    pub(super) request: String,
    pub(super) act: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.request)
    }
}
