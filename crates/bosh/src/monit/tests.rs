//! Transcripts of monit, made by hand in the shape of 5.2.5 and of 5.33.

use proptest::prelude::*;

use super::*;

const OLD: &str = "The Monit daemon 5.2.5 uptime: 3h 12m \n\
    \n\
    Process 'nats'                      running\n\
    Process 'director'                  running - stop pending\n\
    Process 'postgres'                  not monitored\n\
    Process 'blobstore_nginx'           not monitored - start pending\n\
    Process 'worker 1'                  initializing\n\
    Process 'health_monitor'            Does not exist\n\
    File 'ca'                           accessible\n\
    Remote Host 'it''s'                 online with all services\n\
    System 'system_bm-5f1d6a3c-8a27-4ddc-9d5e-0a4a8c2b7f10' not monitored\n\
    \n";

const NEW: &str = "Monit 5.33.0 uptime: 3h 12m\n \
    Service Name                     Status                      Type          \n \
    bosh                             OK - stop pending           System        \n \
    nats                             OK                          Process       \n \
    director                         Not monitored               Process       \n \
    blobstore                        Not monitored - stop pe...  Process       \n \
    worker é                         Initializing                Process       \n \
    disk                             Status failed               Remote Host   \n";

fn services(text: &str) -> Vec<Service> {
    match Answer::parse(text).expect(text) {
        Answer::Services(services) => services,
        Answer::NoDaemon => panic!("a daemon in {text}"),
    }
}

fn other(text: &str) -> State {
    State::Other(text.to_owned())
}

#[test]
fn the_lines_of_monit_5_2() {
    use ServiceKind::{File, Process, RemoteHost, System};
    let expected = [
        (Process, "nats", State::Running, None),
        (Process, "director", State::Running, Some("stop")),
        (Process, "postgres", State::NotMonitored, None),
        (Process, "blobstore_nginx", State::NotMonitored, Some("start")),
        (Process, "worker 1", State::Initializing, None),
        (Process, "health_monitor", other("Does not exist"), None),
        (File, "ca", State::Running, None),
        (RemoteHost, "it''s", State::Running, None),
        (System, "system_bm-5f1d6a3c-8a27-4ddc-9d5e-0a4a8c2b7f10", State::NotMonitored, None),
    ];
    compare(&services(OLD), &expected);
}

#[test]
fn the_table_of_monit_5_33() {
    use ServiceKind::{Process, RemoteHost, System};
    let expected = [
        (System, "bosh", State::Running, Some("stop")),
        (Process, "nats", State::Running, None),
        (Process, "director", State::NotMonitored, None),
        (Process, "blobstore", other("Not monitored - stop pe..."), None),
        (Process, "worker é", State::Initializing, None),
        (RemoteHost, "disk", other("Status failed"), None),
    ];
    compare(&services(NEW), &expected);
}

fn compare(services: &[Service], expected: &[(ServiceKind, &str, State, Option<&str>)]) {
    let expected = expected.iter().map(|(kind, name, state, pending)| Service {
        kind: *kind,
        name: (*name).to_owned(),
        state: state.clone(),
        pending: pending.map(str::to_owned),
        pid: None,
    });
    assert_eq!(services, expected.collect::<Vec<_>>());
}

#[test]
fn stopped_is_what_is_not_monitored_and_has_nothing_pending() {
    let by = |text, is: fn(&Service) -> bool| -> Vec<String> {
        services(text).into_iter().filter(is).map(|service| service.name).collect()
    };
    assert_eq!(by(OLD, Service::is_stopped), ["postgres", "system_bm-5f1d6a3c-8a27-4ddc-9d5e-0a4a8c2b7f10"]);
    assert_eq!(by(OLD, Service::is_running), ["nats", "ca", "it''s"]);
    assert_eq!(by(NEW, Service::is_stopped), ["director"]);
    assert_eq!(by(NEW, Service::is_running), ["nats"]);
    for status in ["Not Monitored", "not monitored.", "not monitored - STOP pending", "not  monitored", "running not monitored"]
    {
        let answer = services(&format!("The Monit daemon 5.2.5 uptime: 0m \n\nProcess 'a'     {status}\n"));
        assert!(!answer[0].is_stopped() && !answer[0].is_running(), "{status}");
    }
}

#[test]
fn the_status_of_both_versions() {
    let old = "The Monit daemon 5.2.5 uptime: 0m \n\n\
        Process 'nats'\n  status                            not monitored - stop pending\n  \
        monitoring status                 not monitored\n  pid                               87\n\n\
        System 'system_x'\n  status                            running\n  monitoring status                 monitored\n\n";
    let new = "Monit 5.33.0 uptime: 0m\n\n\
        Process 'nats'\n  status                       Not monitored - stop pending\n  monitoring status            Not monitored\n\n\
        System 'system_x'\n  status                       OK\n  load average                 [5.91] [8.93] [10.27]\n\n";
    for text in [old, new] {
        let answer = Answer::parse(text).expect(text);
        let nats = answer.service("nats").expect("it is there");
        assert_eq!((&nats.state, nats.pending.as_deref()), (&State::NotMonitored, Some("stop")), "{text}");
        assert_eq!(nats.words(), "not monitored - stop pending");
        assert_eq!(nats.pid, text.contains("5.2.5").then_some(87), "{text}");
        assert!(answer.service("system_x").is_some_and(Service::is_running), "{text}");
        assert_eq!(answer.service("system"), None);
    }
}

#[test]
fn what_is_no_process_is_up_when_it_is_not_well() {
    let up: Vec<_> = services(NEW).into_iter().filter(Service::is_up).map(|service| service.name).collect();
    assert_eq!(up, ["nats", "disk"]);
    let up: Vec<_> = services(OLD).into_iter().filter(Service::is_up).map(|service| service.name).collect();
    assert_eq!(up, ["nats", "ca", "it''s"]);
}

#[test]
fn a_daemon_that_is_not_there() {
    for text in [
        "monit: Status not available -- the monit daemon is not running\n",
        "monit: error connecting to the monit daemon\n",
        "monit: cannot read status from the monit daemon\n",
        "Monit: the monit daemon is not running\n",
    ] {
        let answer = Answer::parse(text).expect(text);
        assert_eq!(answer, Answer::NoDaemon);
        assert_eq!(answer.service("nats"), None);
    }
    let late = format!("{OLD}monit: error connecting to the monit daemon\n");
    assert!(Answer::parse(&late).is_err(), "it has told half");
}

#[test]
fn services_that_are_unknown() {
    assert!(is_unknown_service("monit: action failed -- There is no service by that name\n"));
    assert!(is_unknown_service("There is no service named \"nosuch\"\n"));
    assert!(!is_unknown_service("monit: action failed -- Other action already in progress -- please try again later\n"));
}

#[test]
fn what_cannot_be_understood_is_an_error() {
    let head = "The Monit daemon 5.2.5 uptime: 0m \n\n";
    let table = "Monit 5.33.0 uptime: 0m\n Service Name                     Status                      Type          \n";
    for text in [
        "",
        "\n",
        "Warning: your password will expire\n",
        "monit: error connecting to the monit daemon\nProcess 'nats'                      not monitored\n",
        "Process 'nats'                      not monitored\n",
        "The Monit daemon is a fine thing\n\nProcess 'nats'                      not monitored\n",
        &format!("{head}Process 'nats'                      not monitored"),
        &format!("{head}Process 'nats'                      not monitored\nProcess 'nats'                      running\n"),
        &format!("{head}Process nats                        not monitored\n"),
        &format!("{head}Process ''                          not monitored\n"),
        &format!("{head}Process 'nats'not monitored\n"),
        &format!("{head}Daemon 'nats'                       not monitored\n"),
        &format!("{head}Process 'nats'                      \u{1b}[31mnot monitored\u{1b}[0m\n"),
        &format!("{head}  status                            not monitored\n"),
        &format!("{head}Process 'nats'\n"),
        &format!("{head}Process 'nats'\n  monitoring status                 not monitored\n"),
        &format!(
            "{head}Process 'nats'\n  status                            running\n  status                            not monitored\n"
        ),
        &format!("{table} nats                             Not monitored               Daemon        \n"),
        &format!("{table} nats                             Not monitored\n"),
        &format!("{table} nats                             Not monitored - stop pending Process      \n"),
        &format!("{table} nats                            xNot monitored               Process       \n"),
        &format!("{table}                                  Not monitored               Process       \n"),
        "Monit 5.33.0 uptime: 0m\n Service Name  Type  Status \n nats  Process  Not monitored \n",
    ] {
        let error = Answer::parse(text).expect_err(text);
        assert!(!error.chain().contains('\n'), "{error:?}");
    }
}

/// Text that is almost what monit says.
fn almost() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "The Monit daemon 5.2.5 uptime: 0m \n",
        "Monit 5.33.0 uptime: 0m\n",
        " Service Name                     Status                      Type          \n",
        " nats                             Not monitored               Process       \n",
        "Process 'nats'                      not monitored\n",
        "Process 'nats'\n",
        "  status                            running\n",
        "\n",
        "'",
        " ",
        "é",
        "Status",
        " - stop pending",
    ]);
    prop::collection::vec(word, 0..8).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".*", almost in almost()) {
        let _ = Answer::parse(&text);
        let _ = Answer::parse(&almost);
        let _ = is_unknown_service(&text);
    }

    /// Whatever stands in place of a status, only the very words count.
    #[test]
    fn only_the_very_words_are_stopped(status in "( |[a-zA-Z.'-]|not monitored| - stop pending){1,40}") {
        let text = format!("The Monit daemon 5.2.5 uptime: 0m \n\nProcess 'a'     {status}\n");
        let stopped = Answer::parse(&text).is_ok_and(|answer| answer.service("a").is_some_and(Service::is_stopped));
        prop_assert_eq!(stopped, ["not monitored", "Not monitored"].contains(&status.trim()));
    }

    /// A connection that is cut in the middle tells nothing wrong of those it tells of.
    #[test]
    fn a_text_that_is_cut(at in 0..OLD.len()) {
        let whole = services(OLD);
        if let Ok(Answer::Services(some)) = Answer::parse(&OLD[..at]) {
            prop_assert_eq!(&some[..], &whole[..some.len()]);
        }
    }
}
