//! What every [`Host`] must pass.
//!
//! A contract panics where it is broken, as an assertion does.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use backup_core::body::{self, Body, CHUNK};
use backup_core::testing::{body_contract, breaking};
use backup_core::{Error, Kind};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::{Command, Host, Port};

/// How long something may take on a busy machine before it counts as never.
const LONG: Duration = Duration::from_secs(120);

/// Checks what [`Host`] promises, with the programs of a Debian there. What it makes there is gone afterwards.
///
/// # Panics
/// If a promise is broken, saying which.
pub async fn host_contract(host: &dyn Host) {
    let whole = Box::pin(async {
        what_is_printed_arrives_whole(host).await;
        statuses_arrive_as_they_are(host).await;
        arguments_arrive_as_they_are(host).await;
        programs_are_run_and_no_words_of_a_shell(host).await;
        last_words_are_kept(host).await;
        what_is_given_comes_back(host).await;
        input_that_is_not_taken_is_an_error(host).await;
        input_that_breaks_is_no_end(host).await;
        what_is_dropped_ends_there(host).await;
        a_limit_ends_it_there(host).await;
        what_detached_itself_stays(host).await;
        ports_are_reached(host).await;
    });
    tokio::time::timeout(10 * LONG, whole).await.expect("nothing hangs");
}

/// A command of `sh` for a test.
fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script, "sh"])
}

/// Runs it to its end.
async fn all(host: &dyn Host, command: &Command, stdin: Option<Body>) -> Result<Vec<u8>, Error> {
    body_contract(host.run(command, stdin).await?).await
}

/// Bytes of every kind.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

async fn what_is_printed_arrives_whole(host: &dyn Host) {
    let printed = all(host, &sh(r"echo complaint >&2; printf 'a\0b\n'"), None).await.expect("it ends well");
    assert_eq!(printed, b"a\0b\n");
    assert_eq!(all(host, &Command::new("cat"), None).await.expect("its input is empty"), b"");
    let (one, other) = (sh("sleep 1; echo one; exit 1"), sh("echo other; exit 2"));
    let (one, other) = tokio::join!(host.answer(&one), host.answer(&other));
    let said = [one, other].map(|answer| answer.expect("it answers")).map(|answer| (answer.status, answer.stdout));
    assert_eq!(said, [(1, b"one\n".to_vec()), (2, b"other\n".to_vec())]);
    let error = host.answer(&Command::new("head").args(["-c", "1048577", "/dev/zero"])).await.expect_err("too much");
    assert!(error.chain().ends_with("printed more than the 1048576 bytes that an answer may have"), "{error:?}");
    let answer = host.answer(&Command::new("head").args(["-c", "1048576", "/dev/zero"])).await.expect("just enough");
    assert_eq!(answer.stdout.len(), 1_048_576);
}

async fn statuses_arrive_as_they_are(host: &dyn Host) {
    for status in [0, 1, 2, 126, 127, 128, 129, 137, 254, 255] {
        let command = sh("echo out; echo complaint >&2; exit $1").arg(status.to_string());
        let (answer, ended) = tokio::join!(host.answer(&command), all(host, &command, None));
        let answer = answer.expect("it answers");
        let said = (answer.status, answer.stdout.as_slice(), answer.stderr.as_str());
        assert_eq!(said, (status, &b"out\n"[..], "complaint"));
        if status == 0 {
            assert_eq!(ended.expect("status 0 is a whole body"), b"out\n");
        } else {
            let expected = format!("sh on {} ended with exit status {status}: complaint", host.name());
            assert_eq!(ended.expect_err("any other is none").chain(), expected);
        }
    }
    for (signal, status) in [("KILL", 137), ("PIPE", 141), ("TERM", 143)] {
        let answer = host.answer(&sh("kill -s $1 $$").arg(signal)).await.expect("it answers");
        assert_eq!(answer.status, status, "{signal}");
    }
    let answer = host.answer(&Command::new("no-such-program")).await.expect("it answers");
    assert_eq!(answer.status, 127, "{answer:?}");
    let error = all(host, &Command::new("no-such-program"), None).await.expect_err("it cannot start");
    assert!(error.hint().is_some(), "{error:?}");
}

async fn arguments_arrive_as_they_are(host: &dyn Host) {
    let mut arguments: Vec<OsString> =
        ["", " ", "a  b", "two\nlines\n", "\n", "it's", "\"", "$HOME", "`id`", "$(id)", "*", "~", "\\"]
            .map(OsString::from)
            .to_vec();
    arguments.extend(
        ["\\n", "%s", "-n", "--", "!!", ";", "&", "|", "#", "a=b", "ä", "'\\''", "\r", "\t", "{a,b}"].map(OsString::from),
    );
    arguments.push(OsString::from_vec((1..=u8::MAX).collect()));
    arguments.push(OsString::from_vec(vec![b'\''; 10_000]));
    let mut expected = Vec::new();
    for argument in &arguments {
        expected.extend(argument.as_encoded_bytes());
        expected.push(0);
    }
    let printed = all(host, &Command::new("printf").arg(r"%s\0").args(arguments), None).await.expect("they are printed");
    assert!(printed == expected, "{} is not {}", printed.escape_ascii(), expected.escape_ascii());
    let error = host.answer(&Command::new("printf").arg("a\0b")).await.expect_err("no argument can be that");
    assert_eq!(error.kind(), Kind::Usage, "{error:?}");
}

async fn programs_are_run_and_no_words_of_a_shell(host: &dyn Host) {
    for word in ["exit", "eval", "cd ..", "a=b", "watch_", "if", "echo; id"] {
        assert_eq!(host.answer(&Command::new(word)).await.expect("it answers").status, 127, "{word}");
    }
    // Its functions are called so, too.
    let first = all(host, &Command::new("cut").args(["-c", "1"]), Some(body::from_bytes("abc\n"))).await;
    assert_eq!(first.expect("the program"), b"a\n");
}

async fn last_words_are_kept(host: &dyn Host) {
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done >&2; exit 1";
    let error = all(host, &sh(script), None).await.expect_err("exit status 1");
    let line = error.chain();
    assert!(line.ends_with("line 19998 line 19999") && (4096..9000).contains(&line.len()), "{line}");
    let answer = host.answer(&sh(r"printf '\n0123456789abcdef 0\n\0%s 0\n' $$ >&2; exit 3")).await.expect("it answers");
    assert_eq!(answer.status, 3, "what it prints is not taken for its status");
    let answer = host.answer(&sh(r"printf 'no\377 end' >&2")).await.expect("it answers");
    assert_eq!((answer.status, answer.stderr.as_str()), (0, "no\u{fffd} end"));
}

async fn what_is_given_comes_back(host: &dyn Host) {
    for length in [0, 1, CHUNK, 8 * 1024 * 1024 + 1] {
        let given = bytes(length);
        let back = all(host, &Command::new("cat"), Some(body::from_bytes(given.clone()))).await.expect("it ends well");
        assert!(back == given, "{length} bytes are {} now", back.len());
    }
    // What comes in pieces is handed on in pieces: it is answered before there is more.
    let (mut asking, asked) = tokio::io::duplex(CHUNK);
    let mut answered = BufReader::new(host.run(&Command::new("cat"), Some(body::sound(asked))).await.expect("it starts"));
    for word in ["one\n", "two\n"] {
        asking.write_all(word.as_bytes()).await.expect("taken");
        let mut line = String::new();
        answered.read_line(&mut line).await.expect("answered");
        assert_eq!(line, word);
    }
    drop(asking);
    assert_eq!(answered.read_to_end(&mut Vec::new()).await.expect("its end is handed on"), 0);
}

async fn input_that_is_not_taken_is_an_error(host: &dyn Host) {
    for length in [1, 4 * 1024 * 1024] {
        for script in ["exit 0", "exec <&-; exit 0", "head -c 1 >/dev/null; head -c 1 >/dev/null"] {
            let given = body::from_bytes(bytes(length));
            let ended = all(host, &sh(script), Some(given)).await;
            if length == 1 && script.starts_with("head") {
                ended.expect("it took all there was");
            } else {
                let error = ended.expect_err("exit status 0 before it had taken all");
                assert!(error.chain().ends_with("ended before it had taken all of its input"), "{script}: {error:?}");
            }
        }
        let error = all(host, &sh("exit 3"), Some(body::from_bytes(bytes(length)))).await.expect_err("exit status 3");
        assert!(error.chain().ends_with("ended with exit status 3"), "{error:?}");
    }
}

async fn input_that_breaks_is_no_end(host: &dyn Host) {
    let folder = Folder::new(host).await;
    for at in [0, 1, 3 * 1024 * 1024 + 7] {
        let command = folder.working(&format!("broken-at-{at}"), "cat >/dev/null");
        let error = all(host, &command, Some(breaking(bytes(4 * 1024 * 1024), at))).await.expect_err("its input broke");
        assert!(error.chain().contains("broken on purpose"), "{error:?}");
    }
    folder.ends_cut().await;
}

/// All of them at once: those that do not take their input end some seconds later.
async fn what_is_dropped_ends_there(host: &dyn Host) {
    let endless = || {
        body::piped(|mut writer| async move {
            loop {
                writer.write_all(&[0; CHUNK]).await?
            }
        })
    };
    let quiet = || body::piped(|_| std::future::pending());
    let scripts = [
        ("waits", "sleep 1000"),
        ("has-children", "sleep 1000 & sleep 1000 & wait"),
        ("does-not-listen", "trap '' TERM HUP PIPE INT; sleep 1000 & wait"),
        ("prints", "yes"),
        ("takes", "cat"),
    ];
    let folder = Folder::new(host).await;
    let mut started = Vec::new();
    let mut expected = Vec::new();
    for (name, script) in scripts {
        for (given, stdin) in [("nothing", None), ("quiet", Some(quiet())), ("endless", Some(endless()))] {
            if (name, given) == ("takes", "nothing") {
                continue;
            }
            let place = format!("{name}-{given}");
            let mut body = BufReader::new(host.run(&folder.working(&place, script), stdin).await.expect("it starts"));
            let mut line = String::new();
            body.read_line(&mut line).await.expect("it runs");
            assert_eq!(line, "here\n");
            started.push(body);
            expected.push(place);
        }
    }
    let mut working = folder.inhabited().await;
    working.dedup();
    expected.sort();
    assert_eq!(working, expected, "they run");
    for body in &mut started {
        // So that it waits for us, where it does.
        tokio::select! {
            _ = async { while let Ok(more) = body.fill_buf().await.map(<[u8]>::len) { body.consume(more) } } => {}
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
    drop(started);
    folder.ends_cut().await;
}

async fn a_limit_ends_it_there(host: &dyn Host) {
    let folder = Folder::new(host).await;
    let limited = |place| folder.working(place, "sleep 1000").limit(Duration::from_secs(3));
    let (asked, read) = (limited("asked"), limited("read"));
    let (answer, body) = tokio::join!(host.answer(&asked), async { body_contract(host.run(&read, None).await?).await });
    for error in [answer.map(drop), body.map(drop)].map(|ended| ended.expect_err("it takes too long")) {
        assert_eq!(error.chain(), format!("sh on {} did not end within 3s", host.name()));
    }
    folder.ends_cut().await;
    assert_eq!(host.answer(&sh("exit 4").limit(LONG)).await.expect("it answers").status, 4);
}

async fn what_detached_itself_stays(host: &dyn Host) {
    let folder = Folder::new(host).await;
    let detached = folder.working("detached", "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! && exit");
    let said = String::from_utf8(all(host, &detached, None).await.expect("who started it ends")).expect("a number");
    let number = said.strip_prefix("here\n").expect("it ran").trim();
    assert_eq!(folder.inhabited().await, ["detached"], "it lives on");
    let killed = host.answer(&sh("kill -s KILL \"$1\"").arg(number)).await.expect("it answers");
    assert_eq!(killed.status, 0, "{killed:?}");
    folder.ends_cut().await;
}

/// Prints the number of its port, and sends back what comes there, the end too.
const ECHO: &str = r#"exec perl -MIO::Socket::INET -e '
$| = 1;
$listener = IO::Socket::INET->new(Listen => 9, LocalAddr => "127.0.0.1") or die;
print $listener->sockport, "\n";
while ($one = $listener->accept) {
    if (fork) { close $one; next }
    while (sysread $one, $bytes, 65536) { syswrite $one, $bytes }
    exit;
}'"#;

async fn ports_are_reached(host: &dyn Host) {
    let folder = Folder::new(host).await;
    let mut server = BufReader::new(host.run(&folder.working("echo", ECHO), None).await.expect("it starts")).lines();
    let mut line = async || server.next_line().await.expect("it runs").expect("a line");
    assert_eq!(line().await, "here");
    let port = Port::of_host(line().await.parse().expect("a number"));

    // What is asked is answered before there is more, on two connections at once.
    let mut one = host.connect(&port).await.expect("it listens");
    let mut other = host.connect(&port).await.expect("it listens");
    for word in [*b"one", *b"two"] {
        let mut answers = [[0; 3]; 2];
        for connection in [&mut one, &mut other] {
            connection.write_all(&word).await.expect("taken");
            connection.flush().await.expect("taken");
        }
        for (connection, answer) in [&mut one, &mut other].into_iter().zip(&mut answers) {
            connection.read_exact(answer).await.expect("answered");
        }
        assert_eq!(answers, [word; 2]);
    }
    // The server, and one of it for each connection.
    assert_eq!(folder.inhabited().await.len(), 3);
    let (mut back, mut to) = tokio::io::split(one);
    let given = bytes(4 * 1024 * 1024 + 1);
    let mut received = Vec::new();
    let sent = async {
        to.write_all(&given).await?;
        to.shutdown().await
    };
    let (sent, read) = tokio::join!(sent, back.read_to_end(&mut received));
    sent.expect("its end is handed on");
    read.expect("and comes back");
    assert!(received == given, "{} bytes are {} now", given.len(), received.len());
    drop(other);
    let closed = async { while folder.inhabited().await.len() > 1 {} };
    tokio::time::timeout(LONG, closed).await.expect("a connection that is dropped is closed");
    drop(server);
    folder.ends_cut().await;

    let to_nobody = async |port: &Port| -> Result<(), Error> {
        let mut connection = host.connect(port).await?;
        connection.read_to_end(&mut Vec::new()).await?;
        Ok(())
    };
    let error = to_nobody(&port).await.expect_err("nobody listens any more");
    assert!(error.hint().is_some() && error.chain().contains(&port.to_string()), "{error:?}");
    to_nobody(&Port { machine: String::new(), number: 1 }).await.expect_err("no machine is called so");
}

/// A folder there, with a folder for each command, in which that works as long as it lives.
struct Folder<'a> {
    host: &'a dyn Host,
    path: String,
}

impl<'a> Folder<'a> {
    async fn new(host: &'a dyn Host) -> Self {
        let made = host.answer(&Command::new("mktemp").args(["-d", "-p", "/tmp", "backup-host-XXXXXXXX"])).await.expect("made");
        assert_eq!(made.status, 0, "{made:?}");
        Folder { host, path: String::from_utf8(made.stdout).expect("a path").trim().to_owned() }
    }

    /// A command that prints `here`, works in the folder `place`, and leaves `whole` there where `script` ends well.
    fn working(&self, place: &str, script: &str) -> Command {
        let script = format!(r#"mkdir "$1" && cd "$1" && echo here && {{ {script}; }} && : >whole"#);
        sh(&script).arg(format!("{}/{place}", self.path))
    }

    /// The folder of each process; one that is dead, though nobody has asked for it, does not count.
    async fn inhabited(&self) -> Vec<String> {
        let script =
            r#"for one in /proc/[0-9]*; do at=$(readlink "$one/cwd"); [ "${at%/*}" != "$1" ] || echo "${at##*/}"; done"#;
        let said = self.host.answer(&sh(script).arg(&self.path)).await.expect("it answers").stdout;
        let mut places: Vec<String> = String::from_utf8_lossy(&said).lines().map(str::to_owned).collect();
        places.sort();
        places
    }

    /// Waits until nobody works there. None has got to its end. Then it is removed.
    async fn ends_cut(self) {
        let mut left = Vec::new();
        let none = async {
            while let Some(place) = self.inhabited().await.into_iter().next() {
                left.push(place);
                tokio::time::sleep(Duration::from_millis(50)).await
            }
        };
        let ended = tokio::time::timeout(LONG, none).await;
        assert!(ended.is_ok(), "all of the group has ended, but {:?}", left.last());
        let whole = self.host.answer(&sh(r#"ls -d "$1"/*/whole; rm -r -- "$1""#).arg(&self.path)).await.expect("it answers");
        assert_eq!((whole.status, String::from_utf8_lossy(&whole.stdout).as_ref()), (0, ""), "a cut was taken for the end");
    }
}
