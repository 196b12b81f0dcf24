//! How many rows are asked for.

use super::*;

#[test]
fn who_asks_for_more_rows_than_there_can_be_gets_pages_of_as_many_as_there_can_be() {
    let page = |options: &str| match action("list", &format!(r#"["Note",{options}]"#)) {
        Action::List { page, .. } => (page.number, page.limit),
        other => panic!("{other:?}"),
    };
    assert_eq!(page(r#"{"limit":1000000000}"#), (1, 1_000));
    assert_eq!(page(r#"{"limit":9223372036854775807,"page":900}"#), (900, 1_000));
    assert_eq!(page(r#"{"limit":1000,"page":3}"#), (3, 1_000));
    let far = refused("list", r#"["Note",{"limit":5000,"page":1002}]"#);
    assert!(far.contains("reaches beyond row 1000000"), "{far}");
    let Action::Aggregate { limit, .. } =
        action("aggregate", r#"["Note",{"groupBy":["open"],"limit":1000000000}]"#)
    else {
        panic!()
    };
    assert_eq!(limit, 1_000);
    let Action::List { includes, .. } =
        action("list", r#"["Note",{"include":{"words":{"limit":1000000000}}}]"#)
    else {
        panic!()
    };
    assert_eq!(includes[0].limit, 1_000);
}
