//! A router before the gateway that takes no bodies beyond a size, as that of Deis does until `bodySize` says otherwise.

use std::net::SocketAddr;

use backup_tests::faults::{Asked, Fault, Proxy};

use crate::scene::Scene;

#[test]
fn what_a_router_takes_no_bodies_of_is_told_with_its_limit_and_smaller_parts_pass() {
    let Some(mut scene) = Scene::new("router") else { return };
    scene.ok("home", &["mb", "s3://router"]);
    scene.write("home/all/large", &"0123456789abcdef".repeat(1_000_000));
    let address: SocketAddr = scene.rgw.url().trim_start_matches("http://").parse().expect("an address");
    let proxy = Proxy::start(address);
    let through = proxy.url().trim_start_matches("http://").to_owned();
    let text = std::fs::read_to_string(&scene.config).expect("a file").replace(&address.to_string(), &through);
    scene.config = scene.path("s3cfg");
    std::fs::write(&scene.config, text).expect("written");
    let sync = ["sync", "all/", "s3://router"];
    // In parts of 15 MiB, which is what a .s3cfg that says nothing of them means, and whole.
    for (options, asked) in [(&[][..], Asked::Part), (&["--part-size", "20M"], Asked::Put)] {
        proxy.spoil(None, 0, usize::MAX, Fault::Limit(6 << 20));
        let words = scene.fails(1, &[options, &sync].concat(), "the server answered 413");
        assert!(words.contains("bodySize") && words.contains("--part-size"), "{words}");
        let seen = proxy.seen();
        let refused = seen.iter().filter(|seen| seen.status == 413).map(|seen| seen.asked);
        assert!(refused.clone().count() > 0 && refused.clone().all(|one| one == asked), "{seen:?}");
        // It is refused for good, so each part is sent once.
        assert!(refused.count() <= 2, "{seen:?}");
        proxy.heal();
        assert_eq!(scene.ok("home", &["ls", "-r", "s3://router"]), "");
        let gateway = scene.gateway(&scene.keys);
        assert_eq!(scene.block(gateway.uploads("router", "")).expect("listed"), [], "what was begun is given up");
    }
    // As the hint says.
    proxy.spoil(None, 0, usize::MAX, Fault::Limit(6 << 20));
    assert!(scene.ok("home", &[&["--part-size", "5M"], &sync[..]].concat()).contains("1 copied"));
    scene.ok("back", &["sync", "s3://router", "."]);
    assert_eq!(scene.files("back"), scene.files("home/all"));
}
