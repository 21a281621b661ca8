//! Configurations, and what a shell makes of the same ones.

use std::os::unix::fs::symlink;
use std::process::Command;

use backup_core::Kind;
use jiff::Zoned;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "HOME" => "/home/ann",
        "USER" => "ann",
        "V" => "two  words*",
        "ONE" => "one",
        _ => return None,
    };
    Some(value.to_owned())
}

fn around() -> Surroundings<'static> {
    Surroundings { variable: &variable, now: "2026-11-22T09:08:07.123456789+01:00[Europe/Berlin]".parse().expect("a time") }
}

fn parse(text: &str) -> (Config, Vec<String>) {
    Config::parse("a.conf", text.as_bytes(), &around()).unwrap_or_else(|error| panic!("{text}\n{error:?}"))
}

fn refused(text: &[u8]) -> Error {
    let error = Config::parse("a.conf", text, &around()).expect_err(&String::from_utf8_lossy(text));
    assert_eq!(error.kind(), Kind::Usage);
    error
}

const MICROBOSH: &str = include_str!("../../tests/data/microbosh.conf");
const CF: &str = include_str!("../../tests/data/cf.conf");

#[test]
fn a_file_of_a_microbosh() {
    let (config, warnings) = parse(MICROBOSH);
    assert_eq!(warnings, Vec::<String>::new());
    let expected = Config {
        user: Some("vcap".to_owned()),
        host: Some(Address { name: "10.0.0.6".to_owned(), port: None }),
        ssh_public_key: Some("/srv/keys/director.pub".into()),
        ssh_private_key: Some("/srv/keys/director".into()),
        mode: Mode::Online,
        cache: Some("/backups/test/bosh/cache".into()),
        output: Some("/backups/test/bosh/bosh_test_20261122090807.tar.gz".into()),
        databases: Databases::Named(vec!["bosh".to_owned()]),
        added: vec!["/srv/doc/recover.txt".to_owned()],
        filter: Some(
            b"- micro/\n- monit/\n- packages/\n- sys\n+ bosh\n+ bosh/settings.json\n- bosh/**\n+ store\n- store/lost+found\n+ store/**\n"
                .to_vec(),
        ),
        log_path: "/var/log/scripts".into(),
        ssh_options: vec![("ConnectTimeout".to_owned(), "30".to_owned()), ("BatchMode".to_owned(), "yes".to_owned())],
        time_limit: Duration::from_secs(1200),
        debug: false,
    };
    assert_eq!(config, expected);
    crate::Filter::parse(&config.filter.expect("a list")).expect("it is one");
}

#[test]
fn a_file_of_a_cloud_foundry_and_keys_that_mean_nothing() {
    let (config, warnings) = parse(CF);
    assert_eq!(config.output, Some("/backups/test/cf/cf_test_20261122090807.tar.gz".into()));
    assert_eq!(config.filter.as_deref(), Some(&b"- **/lost+found/\n- lost+found\n+ */\n"[..]));
    let expected = [
        "line 4 of a.conf assigns BOSH_HOST, which means nothing here",
        "line 5 of a.conf assigns BOSH_PASS, which means nothing here",
    ];
    assert_eq!(warnings, expected, "and BOSH_DEPLOYMENT is used");
}

#[test]
fn every_key() {
    let (config, warnings) = parse(
        "USER=root HOST=director.example:2222; MODE=offline\nDBS='bosh  uaa'\nLOG_PATH=~/log\nSSH_OPTIONS='Port=22 Compression=no'\n\
         PROCESS_TIME_LIMIT=30\nDEBUG=1 # more\nCACHE=$ONE:~ ; OUTPUT=\n",
    );
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!((config.user.as_deref(), config.mode, config.debug), (Some("root"), Mode::Offline, true));
    assert_eq!(config.host, Some(Address { name: "director.example".to_owned(), port: Some(2222) }));
    assert_eq!(config.databases, Databases::Named(vec!["bosh".to_owned(), "uaa".to_owned()]));
    assert_eq!((config.log_path, config.time_limit), ("/home/ann/log".into(), Duration::from_secs(60)));
    assert_eq!(config.ssh_options, [("Port".to_owned(), "22".to_owned()), ("Compression".to_owned(), "no".to_owned())]);
    assert_eq!((config.cache, config.output), (Some("one:/home/ann".into()), None));
}

#[test]
fn what_a_file_does_not_say() {
    let (config, _) = parse("");
    assert_eq!((config.user.as_deref(), config.host, config.mode), (Some("ann"), None, Mode::Offline));
    assert_eq!((config.databases, config.added, config.filter), (Databases::None, Vec::new(), None));
    assert_eq!(parse("DBS='x _all_'").0.databases, Databases::All);
}

#[test]
fn a_second_file_is_read_on_top() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let first = file("one.conf", "HOST=one\nCACHE=/c\nRSYNC_LIST() {\n echo \"- $CACHE\"\n}\nADD_LIST() { echo /a; }\n");
    let second = file("two.conf", "HOST=two\nCACHE=/d$CACHE\nADD_LIST() { echo /b /c; true; }\n");
    let (config, _) = Config::read(&[first.clone(), second], &around()).expect("both are good");
    assert_eq!((config.host.map(|host| host.name).as_deref(), config.cache), (Some("two"), Some("/d/c".into())));
    assert_eq!(config.filter.as_deref(), Some(&b"- /d/c\n"[..]), "a list is printed when all is read");
    assert_eq!(config.added, ["/b", "/c"]);
    let bad = file("bad.conf", "A=1\n\nrm -rf /\n");
    let error = Config::read(&[first, bad], &around()).expect_err("a command");
    assert!(error.chain().contains("bad.conf: line 3 is neither"), "{error:?}");
    assert!(Config::read(&[folder.path().join("none")], &around()).is_err());
    let large = file("large.conf", &"#".repeat(LARGEST + 1));
    assert_eq!(Config::read(&[large], &around()).expect_err("too large").kind(), Kind::Usage);
}

#[test]
fn code_is_an_error_that_names_its_line() {
    for code in [
        "rm -rf /",
        "HOST = a",
        "HOST= a",
        "HOST=a b",
        "HOST=a &",
        "HOST=a | b",
        "HOST=a > b",
        "HOST=a && B=b",
        "HOST=(a)",
        "HOST+=a",
        "HOST[0]=a",
        "; HOST=a",
        "HOST=a ;; HOST=b",
        "unset HOST",
        ". /etc/other",
        "source /etc/other",
        "export",
        "export A={a,b}",
        "readonly HOST=a",
        "if true; then HOST=a; fi",
        "[ -f x ] && HOST=a",
        "{ HOST=a; }",
        "(HOST=a)",
        "1A=b",
        "HOST=$(hostname)",
        "HOST=`hostname`",
        "HOST=`date +\\%F`",
        "HOST=\"$(cat /etc/x)\"",
        "HOST=$(date +%F; id)",
        "HOST=$(date +%F | cat)",
        "HOST=$(\"date\" +%F $(id))",
        "HOST=$((1 + 1))",
        "HOST=$[1+1]",
        "HOST=${A:-b}",
        "HOST=${#A}",
        "HOST=${!A}",
        "HOST=$1",
        "HOST=$$",
        "HOST=\"$@\"",
        "HOST=$'a'",
        "HOST=$\"a\"",
        "HOST=~bob/x",
        "HOST=$(date)",
        "HOST=$(date -d yesterday +%F)",
        "HOST=$(date +%F +%F)",
        "HOST=$(date +%Q)",
        "HOST=$(date +%)",
        "HOST=$(date +$V)",
        "HOST=$(date +*)",
        "HOST=$(date +%F",
        "HOST='a",
        "HOST=\"a",
        "HOST=`date",
        "OTHER() { echo a; }",
        "ADD_LIST() { ls; }",
        "ADD_LIST() { cat /etc/x; }",
        "ADD_LIST() { cat > x <<EOF\nEOF\n}",
        "ADD_LIST() { cat <<EOF | sort\nEOF\n}",
        "ADD_LIST() { cat <<EOF\na\n}",
        "ADD_LIST() { cat <<< a\n}",
        "ADD_LIST() { cat <<EOF\n$(id)\nEOF\n}",
        "ADD_LIST() { cat <<EOF\na\\\nEOF\nEOF\n}",
        "ADD_LIST() { cat <<\"E F\"\nE F\n}",
        "ADD_LIST() { cat <<E'O'F\nEOF\n}",
        "ADD_LIST() { echo a > b; }",
        "ADD_LIST() { echo -e a; }",
        "ADD_LIST() { echo *; }",
        "ADD_LIST() { echo $V; }",
        "ADD_LIST() { echo $NONE; }",
        "ADD_LIST() { echo a~; }",
        "ADD_LIST() { echo a; } > x",
        "ADD_LIST() { echo a; }x",
        "ADD_LIST() { echo a; }#x",
        "ADD_LIST() { :a; }",
        "ADD_LIST() { true#; }",
        "ADD_LIST() { echo a; } | cat",
        "ADD_LIST() { echo a",
        "ADD_LIST() (echo a)",
        "ADD_LIST() {echo a; }",
        "ADD_LIST( { echo a; }",
        "ADD_LIST",
        "HOST=a\r",
        "HOST=\0",
    ] {
        let error = refused(format!("\n{code}\n").as_bytes());
        let (chain, line) =
            (error.chain(), error.chain().split("line ").nth(1).and_then(|rest| rest.as_bytes().first().copied()));
        assert!(chain.starts_with("failed to read a.conf: line "), "{code}: {chain}");
        assert!(line == Some(b'2') || (code.contains('\n') && line >= Some(b'2')), "{code}: {chain}");
        assert!(error.hint().is_some() && !chain.contains("/etc"), "{code}: {error:?}");
    }
}

#[test]
fn values_that_cannot_be_meant() {
    for line in [
        "HOST=-oProxyCommand=id",
        "HOST=-ox",
        "HOST=a:b:",
        "HOST=a:0",
        "HOST=a:65536",
        "HOST=a:+1",
        "HOST='a b'",
        "HOST=a/b",
        "HOST=[::1",
        "HOST=[::1]22",
        "HOST=:22",
        "USER=-l",
        "USER='a b'",
        "USER=a@b",
        "MODE=Online",
        "DBS=../x",
        "DBS=--help",
        "PROCESS_TIME_LIMIT=0",
        "PROCESS_TIME_LIMIT=hush",
        "SSH_OPTIONS='Port 22'",
        "SSH_OPTIONS='-o=a'",
    ] {
        let chain = refused(format!("#\n#\n{line}\n").as_bytes()).chain();
        let key = line.split('=').next().expect("a key");
        assert!(chain.starts_with(&format!("line 3 of a.conf gives {key} a value that is not ")), "{chain}");
    }
    refused(b"HOST=\xff\n");
    refused(b"HOST=a\\");
    refused(b"ADD_LIST() { echo \xff; }\n");
    // Latin-1, in a comment and as a value that is not asked for.
    assert_eq!(Config::parse("a.conf", b"# \xe9\nHOST=a # \xe9\nX=\xe9\n", &around()).expect("good").1.len(), 1);
    // Values of values that grow.
    let bomb: String = "A=aaaaaaaa\n".to_owned() + &"A=$A$A$A$A\n".repeat(30);
    assert!(refused(bomb.as_bytes()).chain().contains("64 KiB"));
    let deep = format!("A={}", "$(date +".repeat(100_000));
    assert!(refused(&deep.as_bytes()[..LARGEST]).chain().contains("too deep"));
}

#[test]
fn machines() {
    for (value, name, port) in [
        ("10.0.0.6", "10.0.0.6", None),
        ("10.0.0.6:2222", "10.0.0.6", Some(2222)),
        ("[::1]:22", "::1", Some(22)),
        ("[fe80::1%eth0]", "fe80::1%eth0", None),
        ("::1", "::1", None),
    ] {
        assert_eq!(address(value), Some(Address { name: name.to_owned(), port }), "{value}");
    }
}

#[test]
fn a_warning_names_what_is_not_set() {
    let (config, warnings) = parse("\nCACHE=/a$NONE/b\n");
    assert_eq!(config.cache, Some("/a/b".into()));
    assert_eq!(warnings, ["line 2 of a.conf uses $NONE, which is not set and so is empty"]);
}

/// The shells of this machine, each with a folder to run in, where it finds `cat` and `date` alone.
fn shells() -> (TempDir, Vec<&'static str>) {
    let folder = tempfile::tempdir().expect("a folder");
    for program in ["cat", "date"] {
        symlink(format!("/bin/{program}"), folder.path().join(program)).expect("linked");
    }
    (folder, vec!["/bin/sh", "/bin/bash"].into_iter().filter(|shell| Path::new(shell).exists()).collect())
}

/// What a shell prints that reads `text` and then runs `last`.
fn run(shell: &str, folder: &TempDir, text: &str, last: &str) -> Vec<u8> {
    let file = folder.path().join("a.conf");
    std::fs::write(&file, format!("{text}\n{last}\n")).expect("written");
    let mut command = Command::new(shell);
    command.arg(file).current_dir(folder.path()).env_clear().envs([("PATH", folder.path()), ("LC_ALL", Path::new("C"))]);
    command.envs(["HOME", "USER", "V", "ONE"].map(|name| (name, variable(name).expect("it is set"))));
    let output = command.output().expect("a shell runs");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{shell}: {text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Pieces of values in every kind of quotes, in pairs that mean something together.
fn value() -> impl Strategy<Value = String> {
    let pieces = "a|/b|:|~|~/c|:~|'|'|\"|\"|\\\\|\\|\\$|\\\"|\\'|$|$V|${V}|$ONE|${ONE}|$A|$NONE|#|=|!|{a,b}|*|?|[x]|%|-|,|\
        $(date +x)|$(date -u '+%Y')|`date +%Y`|\"$(date \"+%Y %%\")\"|'single $V \" \\ '|\"double $V ' \\\\ \\$ \"|\\\n|'\n'|\t| |;|é|^|@|+";
    let piece = prop::sample::select(pieces.split('|').collect::<Vec<_>>());
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

/// Files with a few assignments to `A`, `B` and `C`.
fn file() -> impl Strategy<Value = String> {
    let start =
        prop::sample::select(vec!["A=", "A=", "B=", "B=", "C=", "export A=", "export B=", "  A=", "A=b B=", "# ", "A=$B;C="]);
    let end = prop::sample::select(vec!["\n", "\n", "\n", " # x\n", "; \n", ";", "#\n"]);
    let line = (start, value(), end).prop_map(|(start, value, end)| format!("{start}{value}{end}"));
    let line = prop_oneof![3 => line, 1 => "A=[AB=$(){}'\"~:;# \n&|<>*?`/!\\\\-]{1,12}\n"];
    prop::collection::vec(line, 1..5).prop_map(|lines| lines.concat())
}

fn now() -> Surroundings<'static> {
    Surroundings { variable: &variable, now: Zoned::now() }
}

/// The variables of `text` as we read them, each with a zero byte behind it.
fn read(text: &str) -> Result<Vec<u8>> {
    let around = now();
    let mut shell = Shell::new(&around);
    shell.read("a.conf", text.as_bytes())?;
    let value = |name| shell.assigned(name).unwrap_or_default();
    Ok([value("A"), value("B"), value("C")].map(|value| [value, b"\0"].concat()).concat())
}

#[test]
fn what_is_read_is_what_shells_read() {
    let (folder, shells) = shells();
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) });
    let compared = std::cell::Cell::new(0);
    let result = runner.run(&file(), |text| {
        // What we refuse is not run.
        let Ok(ours) = read(&text) else { return Ok(()) };
        compared.set(compared.get() + 1);
        for shell in &shells {
            let theirs = run(shell, &folder, &text, r#"printf '%s\0' "$A" "$B" "$C""#);
            prop_assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string(), "{}: {}", shell, &text);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(compared.get() > 20, "only {} were read", compared.get());
}

/// Lists with lines of a here-document, or of `echo`.
fn list() -> impl Strategy<Value = String> {
    // Ends of documents, almost.
    let almost = prop::sample::select(vec!["EOF ", " EOF", "EOFX", "E.", "X.Y\"", "'EOF'"]).prop_map(str::to_owned);
    let comment = value().prop_map(|value| format!("  #{value}"));
    let line = prop_oneof![3 => value(), 1 => almost, 1 => comment, 2 => Just("- store/**".to_owned())];
    let lines = prop::collection::vec(line.prop_map(|line| line.replace('\n', "")), 0..4).prop_map(|lines| lines.join("\n"));
    let document = prop::sample::select(vec![
        ("cat <<EOF", "EOF"),
        ("cat << 'EOF' # x", "EOF"),
        ("cat <<-E", "\tE"),
        ("cat <<\\X.Y", "X.Y"),
    ]);
    let document = (document, lines).prop_map(|((start, end), lines)| format!("{start}\n\t{lines}\n{end}"));
    let echo = value().prop_map(|value| format!("echo + {value}"));
    let body = prop::collection::vec(prop_oneof![document, echo, Just(":".to_owned())], 1..3);
    let start = prop::sample::select(vec!["RSYNC_LIST() {\n", "RSYNC_LIST ( )\n\n{ ", "A=1; RSYNC_LIST(){ # x\n"]);
    (start, body).prop_map(|(start, body)| format!("{start}{}\n}}", body.join("\n")))
}

#[test]
fn what_is_listed_is_what_shells_list() {
    let (folder, shells) = shells();
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) });
    let compared = std::cell::Cell::new(0);
    let result = runner.run(&list(), |text| {
        let around = now();
        let mut shell = Shell::new(&around);
        if shell.read("a.conf", text.as_bytes()).is_err() {
            return Ok(());
        }
        let Ok(ours) = shell.list("RSYNC_LIST") else { return Ok(()) };
        let ours = ours.expect("there is one");
        // Bytes that echo of dash has a meaning for.
        let shells = if text.contains("echo") && text.contains('\\') { &["/bin/bash"][..] } else { &shells[..] };
        compared.set(compared.get() + 1);
        for shell in shells {
            let theirs = run(shell, &folder, &text, "RSYNC_LIST");
            let is_list = |line: &&[u8]| !line.trim_ascii_start().starts_with(b"#");
            let theirs = theirs.split_inclusive(|byte| *byte == b'\n').filter(is_list).collect::<Vec<_>>().concat();
            prop_assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string(), "{}: {}", shell, &text);
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(compared.get() > 15, "only {} were read", compared.get());
}

#[test]
fn a_date_is_what_date_says() {
    let known = date::KNOWN.iter().map(|byte| format!("%{}", char::from(*byte)));
    let filled = date::FILLED.iter().flat_map(|byte| ["-", "_", "0"].map(|fill| format!("%{fill}{}", char::from(*byte))));
    let formats: Vec<String> = known.chain(filled).collect();
    let format = format!("+{}|%Y%m%d%H%M%S.%%n%n", formats.join("|"));
    for second in [0, 951_782_400, 1_767_222_000, 1_798_700_003, 1_790_000_000, 4_102_444_799_i64] {
        for (zone, utc) in [("Europe/Berlin", false), ("America/St_Johns", false), ("Asia/Tokyo", true)] {
            let option = utc.then_some("-u");
            let mut command = Command::new("date");
            command.args(option).args(["-d", &format!("@{second}"), &format]).env("TZ", zone).env("LC_ALL", "C");
            let theirs = String::from_utf8(command.output().expect("date runs").stdout).expect("text");
            let now = jiff::Timestamp::from_second(second).expect("a time").in_tz(zone).expect("a zone");
            let ours: Vec<String> = format
                .split_inclusive('|')
                .map(|one| {
                    let one = format!("+{}", one.trim_start_matches('+'));
                    let arguments: Vec<Vec<u8>> =
                        option.into_iter().chain([one.as_str()]).map(|text| text.as_bytes().to_vec()).collect();
                    date::date(&arguments, &now).unwrap_or_else(|error| format!("{one}: {error}|"))
                })
                .collect();
            let theirs: Vec<&str> = theirs.trim_end_matches('\n').split_inclusive('|').collect();
            assert_eq!(ours, theirs);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in "[A=$(){}'\"\\\\~:;# \n\t&|<>*?`-]{0,60}", file in file(), list in list()) {
        for text in [bytes.as_slice(), text.as_bytes(), file.as_bytes(), list.as_bytes(), &[b"A=", bytes.as_slice()].concat()] {
            let _ = Config::parse("a.conf", text, &around());
        }
    }
}
