//! AuthZEN's searches: the certification scenario's table, the interoperability demo's rules held against single
//! evaluations, pages and their tokens, bundles that list nothing.

use lictor::policy::Format;
use serde_json::{Value, json};

use crate::support::Answer;
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

use super::decisions::POLICIES;
use super::pod;

const SUBJECT: &str = "/access/v1/search/subject";
const ACTION: &str = "/access/v1/search/action";
const RESOURCE: &str = "/access/v1/search/resource";
const METADATA: &str = "/.well-known/authzen-configuration";

/// Who may do what is looked up in the data, by id.
const DEMO: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: demo}
spec:
  resources: [record]
  variables:
    user: data.authzen.users[subject.id]
    record: data.authzen.records[resource.id]
    home: vars.user.department == vars.record.department
    manager: vars.user.role == "manager"
  rules:
    - {id: owner, effect: allow, actions: [view, edit, delete], condition: vars.record.owner == subject.id}
    - {id: department, effect: allow, actions: [view], condition: vars.home || vars.manager}
    - {id: manager, effect: allow, actions: [edit], condition: vars.home && vars.manager}
"#;
const USERS: [(&str, &str, &str); 6] = [
    ("alice", "manager", "Sales"),
    ("bob", "employee", "Legal"),
    ("carol", "contractor", "Legal"),
    ("dan", "manager", "Finance"),
    ("erin", "employee", "Finance"),
    ("felix", "contractor", "Accounting"),
];
const DEPARTMENTS: [(&str, &[u32]); 4] = [
    ("Legal", &[101, 102, 103, 105, 108, 112, 116, 117, 119]),
    ("Accounting", &[104, 106, 109, 111, 114, 118, 120]),
    ("Sales", &[107, 110, 113]),
    ("Finance", &[115]),
];

fn publish(pod: &Pod, number: u64, policies: &str, authzen: &Value) {
    let text = authzen.to_string();
    let data: [(&str, &[u8]); 1] = [("authzen/data.json", text.as_bytes())];
    let documents = documents(policies, Format::Yaml);
    let archive = bundle_of(number, documents, &data, &[&signing_key()]);
    pod.put_at(&format!("bundles/{number}.tar.gz"), &archive);
}

fn searching(policies: &str, authzen: &Value) -> Sidecar {
    let more = json!({"authzen": {"policy_decision_point": "https://pdp.example"}});
    let pod = pod(&more);
    publish(&pod, 1, policies, authzen);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    sidecar
}

/// The certification scenario's entities.
fn certified() -> Value {
    json!({
        "subjects": [
            {"type": "user", "id": "alice"},
            {"type": "user", "id": "bob", "properties": {"role": "admin"}},
            {"type": "user"}, 7, {"type": "user", "id": "broken", "properties": []},
        ],
        "resources": [
            {"type": "record", "id": "record-1", "properties": {"status": "active"}},
            {"type": "record", "id": "record-2", "properties": {"status": "archived"}},
        ],
    })
}

fn ask(sidecar: &Sidecar, path: &str, body: &Value) -> Value {
    let answer = sidecar.post(path, &body.to_string());
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    let page = answer.json();
    assert!(page["context"]["decision_id"].is_string(), "{page}");
    assert!(page["page"]["next_token"].is_string(), "{page}");
    assert_eq!(
        page["page"]["count"],
        json!(page["results"].as_array().unwrap().len())
    );
    page
}

/// Names of all results, of a search without pages.
fn found(sidecar: &Sidecar, path: &str, body: &Value) -> Vec<String> {
    let page = ask(sidecar, path, body);
    assert_eq!(page["page"]["next_token"], "", "{page}");
    names(&page)
}

fn names(page: &Value) -> Vec<String> {
    let name = |entity: &Value| {
        let name = entity.get("id").or_else(|| entity.get("name"));
        name.unwrap().as_str().unwrap().to_owned()
    };
    page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(name)
        .collect()
}

fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    answer.json().as_str().unwrap().to_owned()
}

#[expect(clippy::too_many_lines, reason = "one table, as the scenario has it")]
#[test]
fn the_certification_scenario_of_searches_holds() {
    let sidecar = searching(POLICIES, &certified());
    let (alice, bob) = (
        json!({"type": "user", "id": "alice"}),
        json!({"type": "user", "id": "bob"}),
    );
    let admin = json!({"type": "user", "id": "bob", "properties": {"role": "admin"}});
    let (users, records) = (json!({"type": "user"}), json!({"type": "record"}));
    let (read, write) = (json!({"name": "read"}), json!({"name": "write"}));
    let first = json!({"type": "record", "id": "record-1"});
    let archived =
        json!({"type": "record", "id": "record-2", "properties": {"status": "archived"}});
    for (name, path, body, expected) in [
        (
            "4.2.1",
            SUBJECT,
            json!({"subject": users, "action": read, "resource": first}),
            vec!["alice", "bob"],
        ),
        (
            "4.2.2",
            SUBJECT,
            json!({"subject": users, "action": read, "resource": first, "context": {"a": 1}}),
            vec!["alice", "bob"],
        ),
        (
            "4.2.3",
            SUBJECT,
            json!({"subject": alice, "action": read, "resource": first}),
            vec!["alice", "bob"],
        ),
        (
            "4.2.4",
            SUBJECT,
            json!({"subject": users, "action": write, "resource": archived}),
            vec!["bob"],
        ),
        (
            "4.3.1",
            RESOURCE,
            json!({"subject": alice, "action": read, "resource": records}),
            vec!["record-1", "record-2"],
        ),
        (
            "4.3.3",
            RESOURCE,
            json!({"subject": alice, "action": write, "resource": first}),
            vec!["record-1"],
        ),
        (
            "4.3.4",
            RESOURCE,
            json!({"subject": admin, "action": write, "resource": records}),
            vec!["record-2"],
        ),
        (
            "as evaluated",
            RESOURCE,
            json!({"subject": bob, "action": write, "resource": records}),
            vec![],
        ),
        (
            "4.4.1",
            ACTION,
            json!({"subject": alice, "resource": first}),
            vec!["read", "write"],
        ),
        (
            "4.4.3",
            ACTION,
            json!({"subject": admin, "resource": archived}),
            vec!["read", "write"],
        ),
        (
            "4.6.1",
            RESOURCE,
            json!({"subject": {"type": "robot", "id": "x"}, "action": read, "resource": records}),
            vec![],
        ),
        (
            "4.6.2",
            SUBJECT,
            json!({"subject": {"type": "spaceship"}, "action": read, "resource": first}),
            vec![],
        ),
        (
            "4.6.2",
            RESOURCE,
            json!({"subject": alice, "action": read, "resource": {"type": "spaceship"}}),
            vec![],
        ),
        (
            "4.6.2",
            ACTION,
            json!({"subject": alice, "resource": {"type": "spaceship", "id": "1"}}),
            vec![],
        ),
    ] {
        assert_eq!(found(&sidecar, path, &body), expected, "{name}");
    }
    for (path, body) in [
        (SUBJECT, json!({"subject": users, "resource": first})),
        (RESOURCE, json!({"action": read, "resource": records})),
        (ACTION, json!({"subject": alice})),
        (
            SUBJECT,
            json!({"subject": {}, "action": read, "resource": first}),
        ),
        (
            SUBJECT,
            json!({"subject": users, "action": read, "resource": records}),
        ),
        (
            RESOURCE,
            json!({"subject": users, "action": read, "resource": records}),
        ),
        (ACTION, json!({"subject": users, "resource": first})),
        (
            ACTION,
            json!({"subject": alice, "resource": first, "page": {"limit": -1}}),
        ),
        (
            ACTION,
            json!({"subject": alice, "resource": first, "page": {"token": "nonsense"}}),
        ),
        (ACTION, json!([])),
    ] {
        refused(&sidecar.post(path, &body.to_string()), 400);
    }
    assert_eq!(
        sidecar.http().get(METADATA).json(),
        json!({
            "policy_decision_point": "https://pdp.example",
            "access_evaluation_endpoint": "https://pdp.example/access/v1/evaluation",
            "access_evaluations_endpoint": "https://pdp.example/access/v1/evaluations",
            "search_subject_endpoint": "https://pdp.example/access/v1/search/subject",
            "search_resource_endpoint": "https://pdp.example/access/v1/search/resource",
            "search_action_endpoint": "https://pdp.example/access/v1/search/action",
        })
    );
    assert_eq!(sidecar.http().get(SUBJECT).status, 405);
}

#[test]
fn a_bundle_that_lists_no_entities_is_not_searched_for_them() {
    let sidecar = searching(POLICIES, &json!({"subjects": "none"}));
    let alice = json!({"type": "user", "id": "alice"});
    let record = json!({"type": "record", "id": "record-1"});
    let whole = json!({"subject": alice, "action": {"name": "read"}, "resource": record});
    for (path, list) in [
        (SUBJECT, "data.authzen.subjects"),
        (RESOURCE, "data.authzen.resources"),
    ] {
        assert!(refused(&sidecar.post(path, &whole.to_string()), 404).contains(list));
    }
    let actions = json!({"subject": alice, "resource": record});
    assert_eq!(found(&sidecar, ACTION, &actions), ["read", "write"]);
    let metadata = sidecar.http().get(METADATA).json();
    assert_eq!(metadata.as_object().unwrap().len(), 4, "{metadata}");
    assert!(metadata["search_action_endpoint"].is_string());
}

fn demo() -> Value {
    let owners = USERS.iter().map(|user| user.0).cycle();
    let ids: Vec<u32> = (101..=120).collect();
    let department = |id: &u32| {
        DEPARTMENTS
            .iter()
            .find(|(_, ids)| ids.contains(id))
            .unwrap()
            .0
    };
    let records = ids.iter().zip(owners).map(|(id, owner)| {
        (
            id.to_string(),
            json!({"owner": owner, "department": department(id)}),
        )
    });
    let users = USERS.iter().map(|(name, role, department)| {
        (
            (*name).to_owned(),
            json!({"role": role, "department": department}),
        )
    });
    let listed = |kind: &str, ids: Vec<String>| -> Vec<Value> {
        ids.into_iter()
            .map(|id| json!({"type": kind, "id": id}))
            .collect()
    };
    json!({
        "users": users.collect::<serde_json::Map<_, _>>(),
        "records": records.collect::<serde_json::Map<_, _>>(),
        "subjects": listed("user", USERS.iter().map(|user| user.0.to_owned()).collect()),
        "resources": listed("record", ids.iter().map(u32::to_string).collect()),
        "actions": [{"name": "burn"}],
    })
}

/// The demo's six rules, read a second time.
fn expected(data: &Value, user: &str, action: &str, record: &str) -> bool {
    let (record, user_is) = (&data["records"][record], &data["users"][user]);
    let owner = record["owner"] == user;
    let home = record["department"] == user_is["department"];
    let manager = user_is["role"] == "manager";
    match action {
        "view" => owner || home || manager,
        "edit" => owner || (home && manager),
        "delete" => owner,
        _ => false,
    }
}

#[test]
fn every_search_finds_what_single_evaluations_allow() {
    let data = demo();
    let sidecar = searching(DEMO, &data);
    let subject = |id: &str| json!({"type": "user", "id": id});
    let resource = |id: &str| json!({"type": "record", "id": id});
    let records: Vec<String> = (101..=120).map(|id| id.to_string()).collect();
    let actions = ["burn", "delete", "edit", "view"];
    for action in actions {
        for record in &records {
            let body = json!({"subject": {"type": "user"}, "action": {"name": action}, "resource": resource(record)});
            let users = USERS.iter().map(|user| user.0);
            let wanted: Vec<_> = users
                .filter(|user| expected(&data, user, action, record))
                .collect();
            assert_eq!(found(&sidecar, SUBJECT, &body), wanted, "{action} {record}");
        }
        for (user, ..) in USERS {
            let body = json!({"subject": subject(user), "action": {"name": action}, "resource": {"type": "record"}});
            let wanted: Vec<_> = records
                .iter()
                .filter(|record| expected(&data, user, action, record))
                .collect();
            let all = found(&sidecar, RESOURCE, &body);
            assert_eq!(all.iter().collect::<Vec<_>>(), wanted, "{user} {action}");
            for limit in [1, 3, 7, 100] {
                assert_eq!(
                    paged(&sidecar, RESOURCE, &body, limit),
                    all,
                    "{user} {action}, {limit} a page"
                );
            }
            for record in &records {
                let body = json!({"subject": subject(user), "action": {"name": action}, "resource": resource(record)});
                let decision = sidecar
                    .post("/access/v1/evaluation", &body.to_string())
                    .json();
                assert_eq!(decision["decision"], all.contains(record), "{body}");
            }
        }
    }
    for (user, ..) in USERS {
        for record in &records {
            let body = json!({"subject": subject(user), "resource": resource(record)});
            let wanted: Vec<_> = actions
                .iter()
                .filter(|action| expected(&data, user, action, record))
                .collect();
            assert_eq!(
                found(&sidecar, ACTION, &body).iter().collect::<Vec<_>>(),
                wanted,
                "{user} {record}"
            );
        }
    }
}

/// All results, `limit` a page.
fn paged(sidecar: &Sidecar, path: &str, body: &Value, limit: usize) -> Vec<String> {
    let mut body = body.clone();
    body["page"] = json!({"limit": limit});
    let mut all = Vec::new();
    loop {
        let page = ask(sidecar, path, &body);
        let these = names(&page);
        assert!(these.len() <= limit);
        all.extend(these);
        match page["page"]["next_token"].as_str().unwrap() {
            "" => return all,
            token => body["page"]["token"] = json!(token),
        }
    }
}

#[test]
fn a_token_is_refused_for_another_question_and_another_revision() {
    let sidecar = searching(DEMO, &demo());
    let mut body = json!({"subject": {"type": "user", "id": "alice"}, "action": {"name": "view"},
        "resource": {"type": "record"}, "page": {"limit": 2}});
    let page = ask(&sidecar, RESOURCE, &body);
    assert_eq!(names(&page), ["101", "102"]);
    body["page"]["token"] = page["page"]["next_token"].clone();
    assert_eq!(names(&ask(&sidecar, RESOURCE, &body)), ["103", "104"]);
    let mut other = body.clone();
    other["action"]["name"] = json!("edit");
    let text = refused(&sidecar.post(RESOURCE, &other.to_string()), 400);
    assert!(text.contains("another search"), "{text}");
    body["page"]["limit"] = json!(0);
    let empty = ask(&sidecar, RESOURCE, &body);
    assert_eq!(empty["page"]["next_token"], body["page"]["token"]);

    publish(&sidecar.pod, 2, DEMO, &demo());
    assert_eq!(sidecar.sync().status, 200);
    sidecar.wait_for_number(2);
    let text = refused(&sidecar.post(RESOURCE, &body.to_string()), 400);
    assert!(text.contains("another policy revision"), "{text}");
}
