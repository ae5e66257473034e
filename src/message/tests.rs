//! The vendors' forms, their limits, and what must not be shown.

use proptest::prelude::*;

use super::*;
use crate::time_range::UtcSecond;

fn notice() -> Notice {
    Notice {
        what: "run night".into(),
        host: "keeper".into(),
        began: UtcSecond::new(1_795_136_400),
        ended: UtcSecond::new(1_795_140_000),
        exit: 6,
        outcome: "did not begin",
        summary: None,
        failure: Some("another run holds the ledger".into()),
        worst: Vec::new(),
        more_places: 0,
        next: None,
        zone: chrono_tz::Asia::Shanghai,
    }
}

#[test]
fn each_kind_is_in_its_vendors_form() {
    let body = |kind: Kind| kind.body(&notice(), "a <b> & c\n");
    assert_eq!(body(Kind::DingTalk), json!({"msgtype": "text", "text": {"content": "a <b> & c"}}));
    assert_eq!(body(Kind::WeCom), json!({"msgtype": "text", "text": {"content": "a ‹b› & c"}}));
    assert_eq!(body(Kind::Feishu), json!({"msg_type": "text", "content": {"text": "a ‹b› & c"}}));
    assert_eq!(body(Kind::Slack), json!({"text": "a &lt;b&gt; &amp; c"}));
    let own = body(Kind::Json);
    assert_eq!((&own["exit"], &own["what"], &own["text"]), (&json!(6), &json!("run night"), &json!("a <b> & c\n")));
    assert_eq!(own["began_utc"], "2026-11-20T01:00:00Z");
}

#[test]
fn a_text_that_is_too_long_is_cut_at_a_line_and_says_so() {
    let lines: Vec<String> = (0..200).map(|line| format!("门店 {line}: 8 of 8 cameras")).collect();
    let body = Kind::WeCom.body(&notice(), &lines.join("\n"));
    let text = body["text"]["content"].as_str().expect("a text");
    assert!(text.len() <= LONGEST_FOR_WECOM && text.len() > LONGEST_FOR_WECOM - 100, "{}", text.len());
    let kept = text.lines().count() - 1;
    assert_eq!(text.lines().last(), Some(format!("… and {} more lines", 200 - kept).as_str()));
    assert!(text.lines().take(kept).eq(lines.iter().take(kept)));
}

proptest! {
    #[test]
    fn no_text_is_longer_than_it_may_be(text in "(.{0,80}\n){0,60}.{0,3000}", longest in 60_usize..3000) {
        let fitted = fit(&text, longest);
        prop_assert!(fitted.len() <= longest);
        prop_assert!(text.trim_end().len() > longest || fitted == text.trim_end());
    }
}

#[test]
fn an_answer_of_http_200_may_be_a_refusal() {
    let refused = br#"{"errcode":310000,"errmsg":"keywords not in content"}"#;
    assert_eq!(Kind::DingTalk.taken(200, refused), Err("errcode 310000: \"keywords not in content\"".into()));
    assert_eq!(Kind::WeCom.taken(200, br#"{"errcode":0,"errmsg":"ok"}"#), Ok(()));
    assert!(Kind::WeCom.taken(200, br#"{"errcode":93000,"errmsg":"invalid webhook url"}"#).is_err());
    assert_eq!(Kind::Feishu.taken(200, br#"{"code":0,"msg":"success","data":{}}"#), Ok(()));
    assert_eq!(Kind::Feishu.taken(200, br#"{"StatusCode":0,"StatusMessage":"success"}"#), Ok(()));
    assert_eq!(
        Kind::Feishu.taken(200, br#"{"code":9499,"msg":"Bad Request"}"#),
        Err("code 9499: \"Bad Request\"".into())
    );
    for kind in [Kind::DingTalk, Kind::WeCom, Kind::Feishu] {
        for body in ["", "ok", "<html>", "{}", "[0]", r#"{"errcode":"0","code":"0"}"#] {
            assert!(kind.taken(200, body.as_bytes()).is_err(), "{kind:?} {body:?}");
        }
    }
    assert_eq!(Kind::Slack.taken(200, b"ok"), Ok(()));
    for status in [301, 400, 403, 404, 500] {
        assert!(Kind::Json.taken(status, b"").is_err());
    }
}

#[test]
fn of_a_url_only_the_host_is_shown() {
    let url =
        SecretUrl::read("https://user:pass-word@hooks.example/services/T000/AbCdEf123?key=693a91f6").expect("a URL");
    assert_eq!(url.host, "hooks.example");
    for shown in [format!("{url:?}"), url.hidden_in("Cannot POST /services/T000/AbCdEf123?key=693a91f6 as pass-word")] {
        for secret in ["AbCdEf123", "693a91f6", "pass-word"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    for wrong in ["", "hooks.example/x-secret", "ftp://hooks.example/x-secret", "http://"] {
        let why = SecretUrl::read(wrong).expect_err("no URL");
        assert!(!why.contains("x-secret"));
    }
}

#[test]
fn an_ending_goes_behind_the_path_or_the_query() {
    let ended = |url: &str, ending| SecretUrl::read(url).expect("a URL").with_ending(ending).exposed().to_owned();
    assert_eq!(ended("https://hc-ping.com/abc", ""), "https://hc-ping.com/abc");
    assert_eq!(ended("https://hc-ping.com/abc/", "/start"), "https://hc-ping.com/abc/start");
    assert_eq!(ended("https://hc-ping.com/key/night?create=1", "/3"), "https://hc-ping.com/key/night/3?create=1");
    assert_eq!(ended("https://cronitor.link/p/k/m", "?state=run"), "https://cronitor.link/p/k/m?state=run");
    assert_eq!(
        ended("https://kuma.example/api/push/x?status=up", "?msg=OK"),
        "https://kuma.example/api/push/x?status=up&msg=OK"
    );
}

#[test]
fn what_travels_in_clear_text_is_known() {
    let clear = |url: &str| SecretUrl::read(url).expect("a URL").is_clear_text;
    assert!(clear("http://hooks.example/x"));
    assert!(!clear("https://hooks.example/x") && !clear("http://127.0.0.1:8000/x") && !clear("http://localhost/x"));
}
