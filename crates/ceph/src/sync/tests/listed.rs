//! How far ahead of whoever reads it a listing is asked for.

use futures_util::StreamExt;

use super::super::bucket::{AHEAD, Bucket};
use super::*;

#[tokio::test]
async fn a_listing_is_asked_for_so_many_pages_ahead_and_not_for_somebody_who_is_gone() {
    let scene = Scene::new();
    (0..60).for_each(|nth| scene.fake.set("a", &format!("{nth:02}"), "x"));
    let bucket = Bucket { gateway: scene.fake.clone(), bucket: "a".to_owned(), base: String::new() };
    // Nothing is waited for in memory: what can go on does so at once.
    let asked = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        scene.fake.requests().len()
    };
    let mut list = bucket.list("");
    assert_eq!(asked().await, AHEAD);
    // One page of three is read.
    for name in ["00", "01", "02"] {
        assert_eq!(list.next().await.expect("a line").expect("listed").name, name);
    }
    assert_eq!(asked().await, 1, "for each page that is taken the next");
    drop(list);
    assert_eq!(asked().await, 0);
    // To its end, all of it and in order.
    let names: Vec<String> = bucket.list("").map(|item| item.expect("listed").name).collect().await;
    assert_eq!(names, (0..60).map(|nth| format!("{nth:02}")).collect::<Vec<_>>());
    assert_eq!(asked().await, 20);
}
