//! `.pg_service.conf`: named sets of parameters ("The Connection Service File").

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use backup_core::{Doing as _, Error, Kind, Result};
use zeroize::Zeroizing;

use super::Params;

/// The parameters of `service` from the first of `files` that has it. A file that is not there is passed over.
pub(super) fn find(service: &str, files: &[PathBuf]) -> Result<Params> {
    for file in files {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).doing(|| format!("read the service file {}", file.display())),
        };
        if let Some(params) = parse(&text, service, file)? {
            return Ok(params);
        }
    }
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    Err(Error::new(Kind::Usage, format!("there is no service {service:?}"))
        .with_hint(format!("define it as [{service}] in {}", files.join(" or "))))
}

/// The section `service` of `text`, if there is one.
fn parse(text: &str, service: &str, file: &Path) -> Result<Option<Params>> {
    let mut found: Option<Params> = None;
    for (number, line) in text.lines().enumerate() {
        let at = || format!("line {} of the service file {}", number + 1, file.display());
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            found = section.strip_suffix(']').is_some_and(|name| name == service).then(Params::default);
            continue;
        }
        let Some(params) = &mut found else { continue };
        if line.starts_with("ldap") {
            return Err(Error::usage(format!("{} asks an LDAP directory, which is not supported", at()))
                .with_hint("write the parameters into the service file"));
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(Error::usage(format!("{} is not key=value", at())));
        };
        match key.trim() {
            "service" | "servicefile" => return Err(Error::usage(format!("{} names another service", at()))),
            // The first of two is the one that counts.
            key if params.get(key).is_some() => {}
            key => params.set(key, value.trim()).doing(|| format!("read {}", at()))?,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Option<Params>> {
        super::parse(text, "mydb", Path::new("services"))
    }

    #[test]
    fn a_section_is_found_between_others() {
        let text =
            "# comment\n[other]\nhost=no\nrubbish\n[mydb]\nhost=somehost\n # x\n\n user = admin\nhost=late\n[next]\nhost=no";
        let params = parse(text).unwrap().unwrap();
        assert_eq!((params.get("host"), params.get("user")), (Some("somehost"), Some("admin")));
        assert!(parse("[other]\nhost=h").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_meant_names_its_line() {
        for line in ["nonsense", "hots=h", "service=x", "ldap://host/dn"] {
            let error = parse(&format!("[mydb]\nhost=h\n{line}")).map(|_| ()).unwrap_err();
            assert!(error.chain().contains("line 3"), "{error:?}");
            assert_eq!(error.kind(), Kind::Usage);
        }
    }

    #[test]
    fn files_are_asked_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["none", "first", "second"].map(|name| folder.path().join(name));
        std::fs::write(&files[1], "[a]\nhost=first").unwrap();
        std::fs::write(&files[2], "[a]\nhost=second\n[b]\nhost=b").unwrap();
        assert_eq!(find("a", &files).unwrap().get("host"), Some("first"));
        assert_eq!(find("b", &files).unwrap().get("host"), Some("b"));
        assert_eq!(find("c", &files).map(|_| ()).unwrap_err().kind(), Kind::Usage);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\[mydb\\]\n)?[a-z=\\[\\]# \n]*") {
            let _ = parse(&text);
        }
    }
}
