//! Each role is killed in the middle of a step; the next `up` ends with 0 and one consistent log.

use crate::support::{Home, json, signal};

/// After which line the blow falls. The step that follows the line is the one that it hits.
const MOMENTS: [&str; 9] = [
    "Countermark in",
    "every role makes its own keys",
    "trust file: what a client will pin",
    "members are created",
    "processes:",
    "member-2 is attested",
    "officer-1 approves",
    "certified",
    "is active",
];

fn next_up_ends_well(home: &Home, known_head: Option<&str>) {
    home.wait_until_nothing_runs();
    home.up_once_with(&["--authority-only"]);
    let mut up = home.up();
    assert!(up.says("Try"), "{}", home.logs());
    let (url, trust) = (home.log_url(), home.trust("auditor"));
    let mut arguments = vec!["audit", "--log", &url, "--trust", &trust];
    if let Some(head) = known_head {
        arguments.extend(["--known-head", head]);
    }
    let audit = json(&arguments);
    assert_eq!(audit["findings"].as_array().unwrap().len(), 0, "{audit}");
    assert_eq!(audit["newest_active"], 1);
    assert_eq!(audit["entries"]["countermark/certified-statement/v1"], 1, "nothing is certified twice");
    assert_eq!(up.interrupt().0, Some(0));
}

#[test]
fn killing_up_leaves_nothing_behind_and_loses_nothing() {
    for moment in MOMENTS {
        let home = Home::new();
        let mut up = home.up();
        assert!(up.says(moment), "`up` never came to {moment:?}\n{}", home.logs());
        signal(up.pid(), "KILL");
        assert_eq!(up.wait().0, None, "killed");
        next_up_ends_well(&home, None);
    }
}

#[test]
fn killing_up_while_a_backup_key_is_registered_or_members_are_down_loses_nothing() {
    for moment in ["member-3 staples the bundle", "24 MiB encrypted", "recovery goes on"] {
        let home = Home::new();
        let mut up = home.up_with(&[]);
        assert!(up.says(moment), "`up` never came to {moment:?}\n{}", home.logs());
        signal(up.pid(), "KILL");
        assert_eq!(up.wait().0, None, "killed");
        home.wait_until_nothing_runs();
        let said = home.up_once();
        assert!(said.contains("recovered with pinned fleet keys"), "{said}");
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_step_stops_every_child() {
    for moment in ["processes:", "officer-1 approves"] {
        let home = Home::new();
        let mut up = home.up();
        assert!(up.says(moment));
        let (_, said) = up.interrupt();
        assert!(said.contains("every child"), "{said}");
        next_up_ends_well(&home, None);
    }
}

fn kill_role(config: &str, name: &str, moment: &str) {
    let home = Home::new();
    let mut up = home.up();
    assert!(up.says(moment), "`up` never came to {moment:?}\n{}", home.logs());
    let known_head = (moment == "certified").then(|| home.known_head());
    signal(home.process_of(config), "KILL");
    let (code, said) = up.wait();
    assert!(code.is_some_and(|code| code != 0), "{said}");
    assert!(said.contains(&format!("{name} ended unexpectedly")), "{said}");
    assert!(said.contains("goes on where this stopped"), "{said}");
    next_up_ends_well(&home, known_head.as_deref());
}

#[test]
fn killing_the_log_loses_nothing() {
    for moment in ["member-3 is attested", "officer-2 approves", "certified", "Try"] {
        kill_role("authority/log.toml", "log", moment);
    }
}

#[test]
fn killing_a_witness_loses_nothing() {
    for (witness, moment) in [(1, "processes:"), (2, "officer-2 approves"), (4, "certified")] {
        kill_role(&format!("witness-{witness}/witness.toml"), &format!("witness-{witness}"), moment);
    }
}

#[test]
fn killing_the_countersigner_burns_nothing() {
    for moment in ["officer-2 approves", "certified"] {
        kill_role("operator/countersigner.toml", "countersigner", moment);
    }
}

#[test]
fn killing_a_member_keeps_its_keys() {
    for moment in ["processes:", "member-1 is attested", "certified"] {
        kill_role("member-2/member.toml", "member-2", moment);
    }
}
