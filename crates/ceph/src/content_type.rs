//! The media type of an object that is made of a file: by the file's name, as s3cmd has it without python-magic.

/// What the media type of objects is that are made of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// That of all of them, whatever they are called.
    pub always: Option<String>,
    /// Take the one that the end of the name stands for: `application/json` for `.json`.
    pub guess: bool,
    /// That of the rest.
    pub otherwise: String,
}

impl Default for ContentType {
    /// By the name, else `binary/octet-stream`, as s3cmd has it.
    fn default() -> Self {
        Self { always: None, guess: true, otherwise: "binary/octet-stream".to_owned() }
    }
}

impl ContentType {
    /// The media type of a file called `name`. Nothing is said of its character set, which the name does not tell.
    pub fn of(&self, name: &str) -> String {
        let guessed = || mime_guess::from_path(name).first_raw().filter(|_| self.guess).map(str::to_owned);
        self.always.clone().or_else(guessed).unwrap_or_else(|| self.otherwise.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_unless_another_was_named() {
        let usual = ContentType::default();
        for (name, is) in [
            ("base_1_backup_stop_sentinel.json", "application/json"),
            ("a/index.HTML", "text/html"),
            ("photo.jpg", "image/jpeg"),
            ("part_00000000.tar.lzo", "binary/octet-stream"),
            ("registry/images/1/layer", "binary/octet-stream"),
            ("json", "binary/octet-stream"),
            ("a.json/b", "binary/octet-stream"),
            ("a.\n", "binary/octet-stream"),
            ("", "binary/octet-stream"),
        ] {
            assert_eq!(usual.of(name), is, "{name:?}");
        }
        assert_eq!(ContentType { guess: false, ..usual.clone() }.of("a.json"), "binary/octet-stream");
        assert_eq!(ContentType { otherwise: "a/b".to_owned(), ..usual.clone() }.of("a"), "a/b");
        assert_eq!(ContentType { always: Some("a/b".to_owned()), ..usual }.of("a.json"), "a/b");
    }
}
