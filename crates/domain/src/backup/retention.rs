//! Which sets go: those past their day, but never one that newer proven ones do not replace, nor one that a kept set refers
//! to.

use std::collections::HashSet;

/// A set that is whole.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Kept {
    pub id: String,
    /// The databases in it, by name.
    pub databases: Vec<String>,
    /// The storage whose files are in it.
    pub storage: Option<String>,
    pub verified: bool,
    /// Past its day.
    pub past: bool,
    /// The sets whose archives it needs; all older than itself.
    pub refers_to: Vec<String>,
}

impl Kept {
    /// Whether it holds, of a later day, all that another one does.
    fn replaces(&self, other: &Kept) -> bool {
        self.verified
            && self.storage == other.storage
            && other.databases.iter().all(|name| self.databases.contains(name))
    }
}

/// The sets that go, newest first: removed in this order, no set ever lacks one that it refers to. `sets` are a kind's,
/// newest first. A proven one goes only where so many newer ones replace it.
pub fn to_go(sets: &[Kept], keep_at_least: usize) -> Vec<&str> {
    let (mut needed, mut gone) = (HashSet::new(), Vec::new());
    for (at, set) in sets.iter().enumerate() {
        let id = set.id.as_str();
        let newer = sets[..at].iter().filter(|newer| newer.replaces(set));
        let kept = set.verified && newer.take(keep_at_least).count() < keep_at_least;
        if set.past && !kept && !needed.contains(id) {
            gone.push(id);
        } else {
            needed.extend(set.refers_to.iter().map(String::as_str));
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(id: &str, verified: bool, past: bool, refers_to: &[&str]) -> Kept {
        let refers_to = refers_to.iter().map(|id| (*id).to_owned()).collect();
        Kept { id: id.to_owned(), databases: Vec::new(), storage: None, verified, past, refers_to }
    }

    #[test]
    fn what_a_kept_set_refers_to_stays_and_goes_with_it() {
        let mut sets = [
            set("d", true, false, &["b"]),
            set("c", true, true, &["a"]),
            set("b", true, true, &["a"]),
            set("a", true, true, &[]),
        ];
        assert_eq!(to_go(&sets, 1), ["c"], "b is needed by d, a by b");
        sets[0].past = true;
        assert_eq!(to_go(&sets, 1), ["c"], "the newest proven one stays however old");
        sets[0].refers_to.clear();
        assert_eq!(to_go(&sets, 1), ["c", "b", "a"]);
        sets[0].verified = false;
        assert_eq!(
            to_go(&sets, 1),
            ["d", "b"],
            "the newest is not proven, so c is kept, and a for it"
        );
    }

    #[test]
    fn a_set_is_replaced_by_those_that_hold_all_of_it() {
        let of = |id: &str, databases: &[&str], storage: Option<&str>| Kept {
            databases: databases.iter().map(|name| (*name).to_owned()).collect(),
            storage: storage.map(str::to_owned),
            ..set(id, true, true, &[])
        };
        let sets = [
            of("g", &["app"], None),
            of("f", &[], Some("s3://new")),
            of("e", &["app"], None),
            of("d", &["app", "hr"], None),
            of("c", &["app", "hr"], None),
            of("b", &["app"], None),
            of("a", &[], Some("s3://old")),
        ];
        assert_eq!(to_go(&sets, 1), ["e", "c", "b"]);
        assert_eq!(to_go(&sets, 2), ["b"]);
    }

    fn some_sets() -> impl Strategy<Value = Vec<Kept>> {
        let one = (
            any::<bool>(),
            any::<bool>(),
            prop::sample::subsequence(vec!["a", "b", "c"], 0..=3),
            prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        );
        prop::collection::vec(one, 0..12).prop_map(|all| {
            let name = |n: usize| format!("{:02}", 99 - n);
            let n = all.len();
            let older = |at: usize, to: Vec<prop::sample::Index>| -> Vec<String> {
                let rest = n - at - 1;
                to.into_iter().filter(|_| rest > 0).map(|i| name(at + 1 + i.index(rest))).collect()
            };
            let sets = all.into_iter().enumerate();
            sets.map(|(at, (verified, past, databases, to))| Kept {
                id: name(at),
                databases: databases.into_iter().map(str::to_owned).collect(),
                storage: None,
                verified,
                past,
                refers_to: older(at, to),
            })
            .collect()
        })
    }

    proptest! {
        #[test]
        fn no_set_that_stays_lacks_what_it_needs(sets in some_sets(), least in 0_usize..4) {
            let gone = to_go(&sets, least);
            let stays = |id: &str| !gone.contains(&id);
            for set in sets.iter().filter(|s| stays(&s.id)) {
                for needed in &set.refers_to {
                    prop_assert!(stays(needed), "{} refers to {needed}, which goes", set.id);
                }
            }
            for database in ["a", "b", "c"] {
                let proven = sets.iter().filter(|s| s.verified && s.databases.iter().any(|d| d == database));
                prop_assert!(proven.take(least).all(|s| stays(&s.id)), "the newest of {database}");
            }
            for set in sets.iter().filter(|s| s.verified && !stays(&s.id)) {
                let newer = sets.iter().filter(|s| s.id > set.id && stays(&s.id) && s.replaces(set));
                prop_assert!(newer.count() >= least, "{} goes", set.id);
            }
            prop_assert!(sets.iter().filter(|s| !s.past).all(|s| stays(&s.id)));
        }
    }
}
