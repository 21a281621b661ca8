//! rusoto holds what every gateway holds, against a real one.

use backup_ceph::testing::gateway_contract;
use backup_ceph::{Access, Credentials, Gateway, New};
use backup_ceph_rusoto::RusotoGateway;
use backup_core::Kind;
use backup_core::testing::body_contract;
use backup_tests::answers;
use backup_tests::faults::{Asked, Fault, Proxy};

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_gateways() {
    let Some(rgw) = backup_tests::Rgw::shared() else { return };
    let keys = rgw.user("rusoto");
    let access = Access::new(rgw.url(), Some(Credentials::new(keys.access_key, keys.secret_key)));
    let gateway = RusotoGateway::new(&access).expect("it can");
    gateway_contract(&gateway, "rusoto-contract").await;
}

#[test]
fn what_it_cannot_do_safely_is_refused() {
    let mut access = Access::new("https://localhost", None);
    assert_eq!(RusotoGateway::new(&access).map(drop).map_err(|error| error.kind()), Err(Kind::Usage));
    access.endpoint = "http://localhost".into();
    access.path_style = false;
    assert_eq!(RusotoGateway::new(&access).map(drop).map_err(|error| error.kind()), Err(Kind::Usage));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_made_again_after_what_may_pass_and_not_after_a_refusal() {
    let Some(rgw) = backup_tests::Rgw::shared() else { return };
    let proxy = Proxy::start(rgw.url().trim_start_matches("http://").parse().expect("an address"));
    let keys = rgw.user("rusoto-again");
    let access = Access::new(proxy.url(), Some(Credentials::new(keys.access_key, keys.secret_key)));
    let gateway = RusotoGateway::new(&access).expect("it can");
    proxy.spoil(None, 0, 1, Fault::Reset);
    proxy.spoil(None, 0, 2, Fault::Answer(503, "SlowDown"));
    gateway.make_bucket("rusoto-again").await.expect("made");
    proxy.spoil(Asked::Put, 0, 1, Fault::Lose);
    gateway.put("rusoto-again", "key", "bytes".into(), &New::default()).await.expect("put");
    assert_eq!(gateway.head("rusoto-again", "key").await.expect("there").size, 5);
    proxy.seen();
    proxy.spoil(Asked::Head, 0, 9, Fault::Answer(403, "AccessDenied"));
    assert!(gateway.head("rusoto-again", "key").await.is_err());
    assert_eq!(proxy.seen().len(), 1, "asked once");
    proxy.heal();
    proxy.spoil(Asked::Get, 0, 1, Fault::Cut(2));
    let (_, body) = gateway.get("rusoto-again", "key", None, None).await.expect("opened");
    assert!(body_contract(body).await.is_err(), "it broke off");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_listed_to_the_last_page_and_a_listing_that_goes_round_is_damaged() {
    let page = |more: bool, key: &str, id: usize| {
        let page = format!(
            "<ListMultipartUploadsResult><IsTruncated>{more}</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
             <NextUploadIdMarker>{id}</NextUploadIdMarker><Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>\
             </ListMultipartUploadsResult>"
        );
        ("200 OK", page)
    };
    let uploads = async |pages: &[(&str, String)]| {
        let (address, asked) = answers(pages);
        let mut access = Access::new(format!("http://{address}"), Some(Credentials::new("access", "secret")));
        access.attempts = 1;
        let listed = RusotoGateway::new(&access).expect("it can").uploads("b", "").await;
        assert_eq!(asked.join().expect("each was asked for").len(), pages.len());
        listed.map(|uploads| uploads.into_iter().map(|upload| upload.key).collect::<Vec<_>>())
    };
    let listed = uploads(&[page(true, "a", 1), page(true, "a", 2), page(false, "b", 1)]).await;
    assert_eq!(listed.expect("it leads on"), ["a", "a", "b"]);
    let of_one_key: Vec<_> = (0..1002).map(|id| page(true, "a", id)).collect();
    for pages in [vec![page(true, "a", 1), page(true, "b", 1), page(true, "a", 1)], of_one_key] {
        let error = uploads(&pages).await.expect_err("for ever");
        assert!(error.kind() == Kind::Damaged && error.chain().contains("does not lead on"), "{error:?}");
    }
}
