//! Which sets go: those past their day, but never one of the newest that are proven, nor one that a kept set refers to.

use std::collections::HashSet;

/// A set that is whole.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Kept {
    pub id: String,
    pub verified: bool,
    /// Past its day.
    pub past: bool,
    /// The sets whose archives it needs; all older than itself.
    pub refers_to: Vec<String>,
}

/// The sets that go, newest first: removed in this order, no set ever lacks one that it refers to. `sets` are a kind's,
/// newest first.
pub fn to_go(sets: &[Kept], keep_at_least: usize) -> Vec<&str> {
    let proven = sets.iter().filter(|s| s.verified).take(keep_at_least);
    let proven: HashSet<&str> = proven.map(|s| s.id.as_str()).collect();
    let (mut needed, mut gone) = (HashSet::new(), Vec::new());
    for set in sets {
        let id = set.id.as_str();
        if set.past && !proven.contains(id) && !needed.contains(id) {
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
        Kept { id: id.to_owned(), verified, past, refers_to }
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

    fn some_sets() -> impl Strategy<Value = Vec<Kept>> {
        let one = (
            any::<bool>(),
            any::<bool>(),
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
            sets.map(|(at, (verified, past, to))| Kept {
                id: name(at),
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
            let proven = sets.iter().filter(|s| s.verified);
            prop_assert!(proven.take(least).all(|s| stays(&s.id)));
            prop_assert!(sets.iter().filter(|s| !s.past).all(|s| stays(&s.id)));
        }
    }
}
