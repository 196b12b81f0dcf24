//! Calls that are only explained, and the names of refusals.

use super::*;

#[tokio::test]
async fn a_flood_of_one_refusal_is_counted_and_each_is_told_the_name_of_one_on_record() {
    let world = World::new();
    let connection = World::connection("alice");
    let mut named = Vec::new();
    for _ in 0..50 {
        let answer = world
            .ask_on(
                &connection,
                r#"{"id":"1","method":"create","params":["Word",{}]}"#,
            )
            .await;
        let (_, rest) = answer
            .split_once(r#""decision":""#)
            .unwrap_or_else(|| panic!("{answer}"));
        named.push(rest[..rest.find('"').unwrap()].to_owned());
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let reported = world.heard(|message| match message {
        ToWorker::Report(Report::Refused(refused)) => Some((refused.request.to_string(), refused.repeated)),
        _ => None,
    });
    let on_record: Vec<&String> = reported.iter().map(|(name, _)| name).collect();
    assert!(named.iter().all(|name| on_record.contains(&name)), "{reported:?}");
    let alone = reported.iter().filter(|(_, repeated)| *repeated == 0).count();
    let repeated: u32 = reported.iter().map(|(_, repeated)| repeated).sum();
    assert_eq!((alone, repeated), (20, 30), "none is lost: {reported:?}");
}

#[tokio::test]
async fn an_explained_call_never_reaches_the_worker_and_is_on_record() {
    let world = World::new();
    let explain = |call: &str| format!(r#"{{"id":"1","method":"explain","params":{call}}}"#);
    let told = world
        .ask(&explain(
            r#"["list",["Note",{"filter":{"title":"x"},"sort":{"rank":"asc"}}]]"#,
        ))
        .await;
    for part in [
        r#""allowed":true"#,
        r#""filterWithoutIndex":20"#,
        r#""orderWithoutIndex":20"#,
        r#""max":10000"#,
        r#""rows":"ownerId is 'alice'""#,
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    // A hidden field, an entity of which nothing is granted, and one that there is none of: as the call itself would say.
    for call in [
        r#""list","params":["Note",{"filter":{"remark":"x"}}]"#,
        r#""list","params":["Note",{"filter":{"nonsense":"x"}}]"#,
        r#""read","params":["Vault","KEY"]"#,
        r#""read","params":["Nowhere","KEY"]"#,
        r#""create","params":["Word",{}]"#,
    ] {
        let call = call.replace("KEY", crate::fixture::KEY);
        let explained = world.ask(&explain(&format!(r#"{{"method":{call}}}"#))).await;
        let made = world.ask(&format!(r#"{{"id":"1","method":{call}}}"#)).await;
        let error = |answer: &str| {
            let (_, error) = answer
                .split_once(r#""code""#)
                .unwrap_or_else(|| panic!("{answer}"));
            let code: String = error.chars().filter(char::is_ascii_digit).take(3).collect();
            let reason = error
                .split(r#""reason":"#)
                .nth(1)
                .map(|rest| rest[..8].to_owned());
            (code, reason, error.contains("unknown field"))
        };
        assert_eq!(error(&explained), error(&made), "{call}");
        assert!(explained.contains(r#""allowed":false"#), "{explained}");
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let told = world.heard(|message| match message {
        ToWorker::Report(Report::Explained(explained)) => {
            Some((explained.method.clone(), explained.rule.clone()))
        }
        _ => None,
    });
    assert_eq!(told, [("list".to_owned(), Some("own".to_owned()))]);
    let refused = world.heard(|message| match message {
        ToWorker::Report(Report::Refused(refused)) => refused.method.clone(),
        _ => None,
    });
    let of_explain = refused.iter().filter(|method| *method == "explain").count();
    assert_eq!((refused.len(), of_explain), (10, 5), "{refused:?}");
    let executed = world.heard(|message| matches!(message, ToWorker::Execute(_)).then_some(()));
    assert!(executed.is_empty());
}
