//! The manifest's root is RFC 6962's, and one item can be shown without the rest.

use super::*;
use crate::testing::*;
use countermark_tlog::edge::RightEdge;
use countermark_tlog::hash::leaf_hash;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::format;
use std::string::ToString;

fn item(i: usize) -> Item {
    Item {
        name: name(&format!("item-{i:03}")),
        media_type: "application/json".to_string(),
        size: i.try_into().unwrap(),
        sha256: Digest::of(&i.to_be_bytes()),
        claims: format!("claim {i}"),
        checked_by: if i.is_multiple_of(2) { CheckedBy::Machine } else { CheckedBy::Human },
    }
}

fn manifest(items: usize) -> Manifest {
    let (kind, items) = (MANIFEST_TYPE.to_string(), (0..items).map(item).collect());
    Manifest { kind, origin: origin(), fleet_id: name("fleet-1"), items }
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    for items in [1, 2, 20] {
        let manifest = manifest(items);
        assert_eq!(Manifest::parse(&manifest.write()).unwrap(), manifest);
    }
    assert_eq!((CheckedBy::Machine.as_str(), CheckedBy::Human.as_str()), ("machine", "human"));
}

/// The root by the log's own tree, over the same lines.
fn oracle(manifest: &Manifest) -> Digest {
    let mut edge = RightEdge::empty();
    for item in &manifest.items {
        edge.append(leaf_hash(&to_sign::evidence_item(item)), &mut |_, _| {}).unwrap();
    }
    Digest(edge.root().0.0)
}

#[test]
fn the_root_is_that_of_rfc_6962() {
    for items in 0..=20 {
        let manifest = manifest(items);
        assert_eq!(manifest.root(), oracle(&manifest), "{items} items");
    }
    let most = manifest(ITEMS_MAX);
    assert_eq!(most.root(), oracle(&most));
    // An empty manifest cannot be parsed, but has the empty tree's root.
    assert_eq!(manifest(0).root(), Digest::of(b""));
}

#[test]
fn every_part_of_an_item_is_under_the_root() {
    let good = manifest(3);
    let changes: [fn(&mut Item); 6] = [
        |item| item.name = name("item-001x"),
        |item| item.media_type.push('x'),
        |item| item.size += 1,
        |item| item.sha256 = Digest::of(b"other"),
        |item| item.claims.push('x'),
        |item| item.checked_by = CheckedBy::Machine,
    ];
    let mut roots = BTreeSet::from([good.root()]);
    for change in changes {
        let mut other = good.clone();
        change(&mut other.items[1]);
        roots.insert(other.root());
    }
    let mut swapped = good.clone();
    swapped.items.swap(0, 1);
    roots.insert(swapped.root());
    let (mut shorter, mut longer) = (good.clone(), good);
    shorter.items.pop();
    longer.items.push(longer.items[2].clone());
    roots.extend([shorter.root(), longer.root()]);
    assert_eq!(roots.len(), changes.len() + 4);
}

#[test]
fn one_item_can_be_shown_without_the_rest() {
    for items in 1..=20 {
        let manifest = manifest(items);
        let leaves: Vec<[u8; 32]> = manifest.items.iter().map(|item| leaf(&to_sign::evidence_item(item))).collect();
        let tree = rs_merkle::MerkleTree::<DomainSeparated>::from_leaves(&leaves);
        let root = manifest.root().0;
        for shown in 0..items {
            // What the verifier holds: the item, its place, the count, the path, and the root that the statement names.
            let proof = tree.proof(&[shown]);
            let hash = leaf(&to_sign::evidence_item(&item(shown)));
            assert!(proof.verify(root, &[shown], &[hash], items), "item {shown} of {items}");
            let other = leaf(&to_sign::evidence_item(&item(shown + 1)));
            assert!(!proof.verify(root, &[shown], &[other], items), "another item as {shown} of {items}");
        }
    }
}

#[test]
fn a_leaf_is_not_a_node() {
    let two = manifest(2);
    let [left, right] = [0, 1].map(|i| leaf(&to_sign::evidence_item(&two.items[i])));
    let node = <DomainSeparated as rs_merkle::Hasher>::concat_and_hash(&left, Some(&right));
    assert_eq!(two.root(), Digest(node));
    assert_ne!(leaf(&[left, right].concat()), node);
    assert_eq!(<DomainSeparated as rs_merkle::Hasher>::hash(b"x"), leaf(b"x"));
}

fn check(edit: impl FnOnce(&mut Value)) -> ManifestError {
    Manifest::parse(&edited(&manifest(3).write(), edit)).expect_err("must be refused")
}

#[test]
fn what_is_no_manifest_is_refused() {
    let error = check(|manifest| manifest["type"] = json!("countermark/evidence-manifest/v2"));
    assert!(matches!(error, ManifestError::Json(JsonError::WrongType { .. })), "{error}");
    let error = Manifest::parse(&std::vec![b' '; MANIFEST_BYTES_MAX + 1]).unwrap_err();
    assert!(matches!(error, ManifestError::Json(JsonError::TooLarge { .. })), "{error}");
    for (edit, says) in [
        ((|manifest| manifest["extra"] = json!(1)) as fn(&mut Value), "unknown field"),
        (|manifest| manifest["items"][0]["extra"] = json!(1), "unknown field"),
        (|manifest| manifest["items"][0]["size"] = json!(1_u64 << 53), "2^53-1"),
        (|manifest| manifest["items"][0]["size"] = json!(1.5), "floating point"),
        (|manifest| manifest["items"][0]["name"] = json!("../etc/passwd"), "a name is"),
        (|manifest| manifest["items"][0]["checked_by"] = json!("nobody"), "unknown variant"),
        (|manifest| manifest["items"][0]["checked_by"] = json!({"human": null}), "invalid type: map"),
    ] {
        let error = check(edit);
        assert!(matches!(error, ManifestError::Json(JsonError::Invalid(_))), "{error}");
        assert!(error.to_string().contains(says), "{error} does not say {says:?}");
    }
}

#[test]
fn items_are_sorted_unique_and_bounded() {
    let of = |count: usize| {
        // Short texts, so that the most items stay below the limit of bytes.
        let short = |i: usize| {
            let (media_type, claims) = ("a".to_string(), "a".to_string());
            Item { name: name(&format!("{i:03}")), media_type, claims, ..item(i) }
        };
        let manifest = Manifest { items: (0..count).map(short).collect(), ..manifest(0) };
        Manifest::parse(&serde_json::to_vec(&manifest).unwrap())
    };
    assert_eq!(of(ITEMS_MAX).unwrap().items.len(), ITEMS_MAX);
    for error in [
        of(0).unwrap_err(),
        of(ITEMS_MAX + 1).unwrap_err(),
        check(|manifest| manifest["items"].as_array_mut().unwrap().swap(0, 1)),
        check(|manifest| manifest["items"][1] = manifest["items"][0].clone()),
    ] {
        assert!(matches!(error, ManifestError::Items), "{error}");
    }
}

#[test]
fn texts_are_one_line_of_bounded_length() {
    let longest = "x".repeat(TEXT_BYTES_MAX);
    let mut good = manifest(3);
    (good.items[1].claims, good.items[1].media_type) = (longest.clone(), longest.clone());
    Manifest::parse(&good.write()).unwrap();
    for bad in [String::new(), longest + "x", "two\nlines".to_string(), "\u{7f}".to_string(), "a\u{85}b".to_string()] {
        for field in ["claims", "media_type"] {
            let error = check(|manifest| manifest["items"][1][field] = json!(bad));
            let expected = |found: &str, item: &Name| found == field && item.as_str() == "item-001";
            assert!(
                matches!(&error, ManifestError::Text { field, item } if expected(field, item)),
                "{field} {bad:?}: {error}"
            );
        }
    }
}
