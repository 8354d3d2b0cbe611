//! Browsers that read slowly, and browsers that say much.

use super::*;
use crate::broker::Choice;

/// With kernel buffers that hold some 100 KB, it is far more than there is room for.
const MANY: usize = 400;

#[test]
fn who_reads_slowly_holds_nobody_up_and_gets_all_later() {
    let server = Server::alone();
    let slow = server.join_slowly("tea", "Slow");
    let ann = server.join("tea", "Ann");
    let text = "x".repeat(2000);
    for n in 0..MANY {
        ann.say(&n.to_string(), &text);
    }
    let all = ann.said(MANY);
    let look = server.chat.look();
    let of_slow = look.connections.iter().find(|c| c.name == "Slow").unwrap();
    assert!(
        of_slow.behind > 0 && of_slow.skipped >= of_slow.behind,
        "{of_slow:?}"
    );
    let of_ann = look.connections.iter().find(|c| c.name == "Ann").unwrap();
    assert_eq!(of_ann.behind, 0, "{of_ann:?}");
    assert_eq!(slow.said(MANY), all);
    ann.say("last", "last");
    assert_eq!(texts(&slow.said(1)), ["last"]);
    eventually("the slow one is level", || {
        server.chat.look().connections.iter().all(|c| c.behind == 0)
    });
}

#[test]
fn who_says_too_much_waits_and_loses_nothing() {
    let server = Server::with(Settings {
        rate: 50,
        ..settings()
    });
    let ann = server.join("tea", "Ann");
    let all: Vec<_> = (0..150).map(|n| n.to_string()).collect();
    all.iter().for_each(|text| ann.say(text, text));
    eventually("a queue", || server.chat.look().connections[0].queue > 0);
    assert_eq!(texts(&ann.said(150)), all);
}

#[test]
fn the_monitor_shows_connections_and_does_not_wait_for_a_page() {
    let server = Server::alone();
    let _ann = server.join("tea", "Ann");
    let url = format!("ws://{}/monitor/ws", server.address());
    let page = wsync::connect(&url).unwrap();
    let _never_reads = wsync::connect(&url).unwrap();
    for _ in 0..3 {
        let sample = page.recv_timeout(LATE).unwrap();
        let sample: Value = serde_json::from_str(sample.as_text().unwrap()).unwrap();
        assert_eq!(
            (&sample["type"], &sample["open"]),
            (&json!("sample"), &json!(1))
        );
        let ann = &sample["look"]["connections"][0];
        assert_eq!(
            (&ann["name"], &ann["room"], &ann["behind"]),
            (&json!("Ann"), &json!("tea"), &json!(0))
        );
    }
}

fn settings() -> Settings {
    Settings {
        listen: "127.0.0.1:0".into(),
        name: None,
        history: None,
        broker: Choice::InProcess(Arc::default()),
        rate: 1000,
        rooms: 3,
    }
}
