//! Ways to the API: a service account, kubeconfigs, certificates; and strangers who are not trusted.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_core::{Lifecycle as _, Recorder, Result, Unit};
use backup_kube::Access;
use backup_tests::kubernetes::{StandIn, TOKEN};

use crate::{assert_fails, kubeconfig, through, unit};

fn api() -> StandIn {
    let api = StandIn::start();
    api.world().add("deployment/web", 3);
    api
}

async fn running(access: Access) -> Result<Vec<Unit>> {
    through(access, &["deployment/web"], Arc::new(Recorder::default())).running().await
}

/// The kubeconfig of the stand-in with `from` replaced.
fn changed(api: &StandIn, changes: &[(&str, &str)]) -> Result<Access> {
    let mut text = std::fs::read_to_string(api.kubeconfig()).expect("a kubeconfig");
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is in it");
        text = text.replace(from, to);
    }
    let path = api.folder().join("changed");
    std::fs::write(&path, text).expect("written");
    kubeconfig(&path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_whose_token_is_replaced() {
    let api = api();
    let access = Access::in_cluster("127.0.0.1", &api.port().to_string(), api.folder()).expect("an account");
    assert_eq!(access.namespace().expect("it names one").as_str(), "shop");
    let web = through(access, &["deployment/web"], Arc::new(Recorder::default()));
    assert_eq!(web.running().await.expect("it answers"), [unit(&api, "deployment/web", 3)]);
    api.world().token = "t0k3n-of-the-next-hour".to_owned();
    web.running().await.expect_err("the old one is not known any more");
    std::fs::write(api.folder().join("token"), "t0k3n-of-the-next-hour\n").expect("written");
    web.running().await.expect("the file is read at each request");
    std::fs::write(api.folder().join("token"), "").expect("written");
    assert!(web.running().await.expect_err("no token").chain().contains("the token is empty"));
    std::fs::write(api.folder().join("token"), "a\u{1}b").expect("written");
    let error = web.running().await.expect_err("no token").chain();
    assert!(error.contains("characters that no token has") && !error.contains('\u{1}'), "{error}");
    for file in ["ca.crt", "namespace"] {
        std::fs::remove_file(api.folder().join(file)).expect("removed");
        let error = Access::in_cluster("127.0.0.1", "443", api.folder()).expect_err("half an account");
        assert!(error.chain().contains(file), "{error:?}");
        std::fs::write(api.folder().join(file), "shop").expect("written");
        let error = Access::in_cluster("127.0.0.1", "443", api.folder()).err().map(|error| error.chain());
        assert_eq!(error.is_some_and(|error| error.contains("ca.crt")), file == "ca.crt", "no certificate is in it");
        std::fs::copy(api.folder().join("other.crt"), api.folder().join("ca.crt")).expect("copied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_told_nothing() {
    let api = api();
    let begun = Instant::now();
    for changes in [
        &[("certificate-authority: ca.crt", "certificate-authority: other.crt")] as &[_],
        // Those whom the machine trusts.
        &[("\n    certificate-authority: ca.crt", "")],
        &[("certificate-authority: ca.crt", "certificate-authority: ca.crt\n    tls-server-name: wrong.test")],
    ] {
        let error = running(changed(&api, changes).expect("a kubeconfig")).await.expect_err("a stranger");
        assert!(error.chain().contains("failed to agree on TLS"), "{error:?}");
    }
    assert_eq!(api.world().asked.len(), 0, "no token was shown");
    assert!(begun.elapsed() < Duration::from_secs(20), "a stranger is not asked again and again");
    let named = [("certificate-authority: ca.crt", "certificate-authority: ca.crt\n    tls-server-name: api.test")];
    running(changed(&api, &named).expect("a kubeconfig")).await.expect("its certificate has that name too");
    for (changes, what) in [
        (("certificate-authority: ca.crt", "insecure-skip-tls-verify: true"), "its certificate is not to be checked"),
        (("server: https", "server: http"), "only asked over https"),
        (("certificate-authority: ca.crt", "certificate-authority: ca.crt\n    proxy-url: http://p"), "behind a proxy"),
    ] {
        assert_fails(changed(&api, &[changes]), &["stand-in", what]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_say_who_asks() {
    let api = api();
    let token = format!("token: {TOKEN}");
    let base64 = |file: &str| {
        let output = std::process::Command::new("base64").arg("-w0").arg(api.folder().join(file)).output().expect("base64");
        String::from_utf8(output.stdout).expect("text")
    };
    let data = format!("client-certificate-data: {}\n    client-key-data: {}", base64("client.crt"), base64("client.key"));
    let ca = format!("certificate-authority-data: {}", base64("ca.crt"));
    for changes in [
        vec![(token.as_str(), "tokenFile: token")],
        vec![(&token, "client-certificate: client.crt\n    client-key: client.key")],
        vec![(&token, &data)],
        vec![("certificate-authority: ca.crt", &ca)],
    ] {
        running(changed(&api, &changes).expect("a kubeconfig"))
            .await
            .unwrap_or_else(|error| unreachable!("{changes:?}: {error:?}"));
    }
    for (user, what) in [
        ("username: a\n    password: s3cret", "removed from Kubernetes"),
        ("auth-provider: {name: gcp}", "removed from Kubernetes"),
        (&format!("{token}\n    as: somebody"), "as somebody else"),
        ("client-certificate: client.crt", "without a key"),
    ] {
        assert_fails(changed(&api, &[(&token, user)]), &["backup", what]);
    }
    let error = running(changed(&api, &[(&token, "{}")]).expect("a kubeconfig")).await.expect_err("nobody");
    assert!(error.chain().contains("401"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_tells_the_token_and_is_asked_again_when_it_is_refused() {
    let api = api();
    let script = api.folder().join("tell");
    let body = r#"#!/bin/sh
echo told >> "$(dirname "$0")/count"
case "$KUBERNETES_EXEC_INFO" in *'"ExecCredential"'*) ;; *) exit 3;; esac
[ "$REGION" = north ] && [ "$1" = get-token ] || exit 4
printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"%s"}}' "$(cat "$(dirname "$0")/token")"
"#;
    std::fs::write(&script, body).expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    let token = format!("token: {TOKEN}");
    let user = "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: ./tell\n      args: [get-token]\n      \
                env:\n      - {name: REGION, value: north}\n      interactiveMode: Never";
    let web =
        through(changed(&api, &[(&token, user)]).expect("a kubeconfig"), &["deployment/web"], Arc::new(Recorder::default()));
    web.running().await.expect("it answers");
    web.running().await.expect("it answers");
    let count = || std::fs::read_to_string(api.folder().join("count")).expect("counted").lines().count();
    assert_eq!(count(), 1, "a token serves until it is refused");
    api.world().token = "n3xt".to_owned();
    std::fs::write(api.folder().join("token"), "n3xt").expect("written");
    web.running().await.expect("it is asked again");
    assert_eq!(count(), 2);
    api.world().token = "another".to_owned();
    let refused = tokio::time::timeout(Duration::from_secs(20), web.running()).await.expect("it ends");
    assert!(refused.expect_err("it is refused").chain().contains("answers 401"));
    assert_eq!(count(), 3, "once more, and not again and again");
    for (says, what) in
        [("echo n3xt", "it says no ExecCredential"), ("echo '{}'", "it tells no token"), ("exit 7", "exit status: 7")]
    {
        std::fs::write(&script, format!("#!/bin/sh\n{says}\n")).expect("written");
        let access = changed(&api, &[(&token, user)]).expect("a kubeconfig");
        let error = running(access).await.expect_err(what).chain();
        assert!(error.contains(what) && error.contains("tell a token") && !error.contains("n3xt"), "{error}");
    }
}

#[test]
fn several_files_are_one() {
    let api = api();
    let (first, second) = (api.folder().join("first"), api.folder().join("second"));
    let split =
        "contexts:\n- {name: here, context: {cluster: stand-in, user: other, namespace: elsewhere}}\ncurrent-context: here\n";
    std::fs::write(&first, format!("{split}users:\n- {{name: other, user: {{token: a}}}}\n")).expect("written");
    std::fs::write(&second, std::fs::read(api.kubeconfig()).expect("a kubeconfig")).expect("written");
    let list = format!("{}:/nonexistent:{}", first.display(), second.display());
    let access = Access::find(|name| (name == "KUBECONFIG").then(|| list.clone())).expect("a kubeconfig");
    assert_eq!(access.namespace().expect("the first counts").as_str(), "elsewhere");
}

#[test]
fn a_kubeconfig_that_cannot_be_understood_is_one_line_without_secrets() {
    let api = api();
    for (text, what) in [
        ("", "no current context"),
        ("current-context: x", "no context \"x\""),
        ("current-context: x\ncontexts: [{name: x}]", "the context \"x\" of the kubeconfig says nothing"),
        ("current-context: x\ncontexts: [{name: x, context: {cluster: c}}]", "no cluster \"c\""),
        ("current-context: x\ncontexts: s3cret", "not what a kubeconfig has to be"),
        ("users: [{name: a, user: {token: [s3cret]}}]", "not what a kubeconfig has to be"),
        ("a: s3cret: b", "line 1: "),
        ("- s3cret", "not what a kubeconfig has to be"),
        ("\0", "line 1"),
    ] {
        let path = api.folder().join("wrong");
        std::fs::write(&path, text).expect("written");
        let error = kubeconfig(&path).expect_err(what);
        let line = format!("{error:?}");
        assert!(line.contains(what) && !line.contains("s3cret") && !line.contains('\n'), "{text:?}: {line}");
    }
    let error = changed(&api, &[("namespace: shop", "namespace: ../x")]).expect_err("no namespace");
    assert!(error.chain().contains("cannot be the name of a namespace"), "{error:?}");
}
