use prost_types::Timestamp;
use tonic::Code;

use super::*;
use crate::api::policy_engine::v1::PolicyType;

fn policy(name: &str, seconds: i64, severity: &str, kind: PolicyType) -> Policy {
    let moment = Some(Timestamp { seconds, nanos: 0 });
    Policy {
        id: format!("id-{name}"),
        name: name.into(),
        r#type: kind.into(),
        enabled: name != "c",
        severity: severity.into(),
        created_at: moment,
        updated_at: moment,
        metadata: [("team".to_owned(), format!("of {name}"))].into(),
        ..Policy::default()
    }
}

fn policies() -> Vec<Policy> {
    vec![
        policy("a", 10, "low", PolicyType::Security),
        policy("b", 9, "critical", PolicyType::DataResidency),
        policy("c", 30, "medium", PolicyType::Security),
        policy("d", 30, "high", PolicyType::Pricing),
    ]
}

fn ask(request: &ListPoliciesRequest) -> Result<ListPoliciesResponse, Status> {
    page(request, policies(), 50)
}

fn names(filter: &str, order_by: &str) -> String {
    let request = ListPoliciesRequest {
        filter: filter.into(),
        order_by: order_by.into(),
        ..ListPoliciesRequest::default()
    };
    let response = ask(&request).unwrap();
    assert_eq!(response.total_count as usize, response.policies.len());
    let names = response.policies.into_iter().map(|policy| policy.name);
    names.collect()
}

#[test]
fn filters_let_through_what_fits_all_terms() {
    for (filter, expected) in [
        ("", "cdab"),
        ("type=SECURITY", "ca"),
        ("type=data_residency", "b"),
        ("type = security AND enabled=true", "a"),
        ("type=security and enabled!=TRUE", "c"),
        ("severity=HIGH", "d"),
        ("severity!=high", "cab"),
        ("name=b", "b"),
        ("id=\"id-d\"", "d"),
        ("metadata.team='of a'", "a"),
        ("metadata.none!=x AND metadata.team=\"of c\"", "c"),
        ("metadata.none=x", ""),
        ("name=\"\"", ""),
    ] {
        assert_eq!(names(filter, ""), expected, "{filter}");
    }
}

#[test]
fn orders_sort_and_ties_go_by_id() {
    for (order, expected) in [
        ("", "cdab"),
        ("created_at", "bacd"),
        ("created_at desc", "cdab"),
        ("updated_at ASC, name DESC", "badc"),
        ("severity desc", "bdca"),
        ("enabled", "cabd"),
        ("type,name desc", "bdca"),
    ] {
        assert_eq!(names("", order), expected, "{order}");
    }
}

#[test]
fn what_cannot_be_understood_is_said() {
    for (filter, order_by, page_size, page_token) in [
        ("type", "", 0, ""),
        ("type=", "", 0, ""),
        ("type=NOTHING", "", 0, ""),
        ("enabled=yes", "", 0, ""),
        ("severity=worst", "", 0, ""),
        ("colour=red", "", 0, ""),
        ("metadata.=x", "", 0, ""),
        ("name='a", "", 0, ""),
        ("name='a'b", "", 0, ""),
        ("name=a type=security", "", 0, ""),
        ("name=a OR name=b", "", 0, ""),
        ("name=a AND", "", 0, ""),
        ("AND", "", 0, ""),
        ("", "colour", 0, ""),
        ("", "name down", 0, ""),
        ("", "name asc desc", 0, ""),
        ("", "name,name", 0, ""),
        ("", "name,", 0, ""),
        ("", "", -1, ""),
        ("", "", 0, "no token"),
        ("", "", 0, "e30"),
    ] {
        let request = ListPoliciesRequest {
            page_size,
            page_token: page_token.into(),
            filter: filter.into(),
            order_by: order_by.into(),
        };
        let code = ask(&request).map_err(|status| status.code());
        assert_eq!(code, Err(Code::InvalidArgument), "{request:?}");
    }
    let long = "x".repeat(9000);
    for request in [
        ListPoliciesRequest {
            filter: long.clone(),
            ..ListPoliciesRequest::default()
        },
        ListPoliciesRequest {
            page_token: long,
            ..ListPoliciesRequest::default()
        },
    ] {
        assert_eq!(ask(&request).unwrap_err().code(), Code::InvalidArgument);
    }
}

#[test]
fn pages_follow_each_other_and_a_token_fits_its_own_question() {
    let mut request = ListPoliciesRequest {
        page_size: 1,
        order_by: "severity".into(),
        ..ListPoliciesRequest::default()
    };
    let mut seen = String::new();
    loop {
        let response = ask(&request).unwrap();
        assert_eq!(response.total_count, 4);
        seen.extend(response.policies.into_iter().map(|policy| policy.name));
        if response.next_page_token.is_empty() {
            break;
        }
        request.page_token = response.next_page_token;
    }
    assert_eq!(seen, "acdb");
    request.filter = "name=a".into();
    assert_eq!(ask(&request).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn a_page_begins_behind_a_policy_that_is_gone() {
    let mut request = ListPoliciesRequest {
        page_size: 2,
        ..ListPoliciesRequest::default()
    };
    request.page_token = ask(&request).unwrap().next_page_token;
    let mut left = policies();
    left.retain(|policy| policy.name != "d");
    let response = page(&request, left, 50).unwrap();
    let names: Vec<_> = response
        .policies
        .iter()
        .map(|policy| &policy.name)
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_size_that_is_not_named_is_the_configured_one_and_none_is_above_the_largest() {
    let many: Vec<_> = (0..1500)
        .map(|index| policy(&format!("p{index}"), index, "low", PolicyType::Security))
        .collect();
    for (asked, default, expected) in [(0, 50, 50), (0, 0, 1500), (7, 0, 7), (5000, 50, 1000)] {
        let request = ListPoliciesRequest {
            page_size: asked,
            ..ListPoliciesRequest::default()
        };
        let response = page(&request, many.clone(), default).unwrap();
        assert_eq!(response.policies.len(), expected, "{asked} {default}");
    }
}
