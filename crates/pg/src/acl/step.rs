//! Which grants and revokes lead from one list of privileges to another, and in which order the server accepts them.

use std::collections::HashSet;

use super::item::{Item, Rights};

/// What a step does with privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Grant,
    /// `WITH GRANT OPTION`.
    GrantWithOption,
    /// Their grant options go too.
    Revoke,
    /// `REVOKE GRANT OPTION FOR`.
    RevokeOption,
}

/// One `GRANT` or `REVOKE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The role that does it. The owner needs no session of its own: a superuser acts in the owner's name.
    pub(super) by: String,
    pub(super) verb: Verb,
    pub(super) rights: Rights,
    /// Empty for `PUBLIC`.
    pub(super) grantee: String,
}

/// The steps from `base` to `current`, items that are in both being left alone.
///
/// New items are made in their order, so that the list comes out in it. `elsewhere` says that grantors may hold their
/// grant options somewhere else: on the table, for a column.
pub(super) fn steps(owner: &str, base: &[Item], current: &[Item], elsewhere: bool) -> Vec<Step> {
    let gone: Vec<Item> = base.iter().filter(|item| !current.contains(item)).cloned().collect();
    let new: Vec<Item> = current.iter().filter(|item| !base.contains(item)).cloned().collect();
    if gone.is_empty() && new.is_empty() {
        return Vec::new();
    }
    if base.iter().all(|item| item.grantor == owner) {
        let kept = base.iter().filter(|item| current.contains(item)).cloned().collect();
        let revokes = gone.into_iter().map(|item| revoke(item.grantor, item.rights, item.grantee));
        return revokes.chain(grants(owner, kept, &new, elsewhere)).collect();
    }
    // What other roles gave goes with the grant options that it rests on: all anew, the last first.
    let given = grants(owner, Vec::new(), base, elsewhere);
    let revokes = given.into_iter().rev().filter(|step| matches!(step.verb, Verb::Grant | Verb::GrantWithOption));
    let revokes = revokes.map(|step| revoke(step.by, step.rights, step.grantee));
    revokes.chain(grants(owner, Vec::new(), current, elsewhere)).collect()
}

fn revoke(by: String, rights: Rights, grantee: String) -> Step {
    Step { by, verb: Verb::Revoke, rights, grantee }
}

/// The steps that add `wanted` to `held`, in its order as far as every grantor has its grant option by then.
fn grants(owner: &str, held: Vec<Item>, wanted: &[Item], elsewhere: bool) -> Vec<Step> {
    let mut held = Held { owner, items: held, steps: Vec::new() };
    let mut left: Vec<Item> = wanted.to_vec();
    let mut lent: Vec<(String, Rights)> = Vec::new();
    loop {
        left.retain(|item| !item.rights.is_empty());
        let ready = left.iter_mut().find_map(|item| {
            let rights = held.ready(item);
            (!rights.is_empty()).then_some((item, rights))
        });
        if let Some((item, rights)) = ready {
            held.give(&item.grantor, &item.grantee, rights, item.options.common(rights));
            (item.rights, item.options) = (item.rights.without(rights), item.options.without(rights));
            continue;
        }
        let Some(item) = left.first_mut() else { break };
        let right = item.rights.each().next().unwrap_or_default();
        let passes_on = |other: &Item| other.grantee == item.grantor && !other.options.common(right).is_empty();
        if elsewhere {
            held.give(&item.grantor, &item.grantee, item.rights, item.options);
            item.rights = Rights::default();
        } else if wanted.iter().chain(&held.items).any(passes_on) && !lent.contains(&(item.grantor.clone(), right)) {
            // Grantors in a ring, each of whom had its option from the owner once: the owner lends it, and takes it back.
            held.give(owner, &item.grantor, right, right);
            lent.push((item.grantor.clone(), right));
        } else {
            // Nobody could give this today. The owner gives it: who holds it counts.
            held.give(owner, &item.grantee, right, Rights::default());
            (item.rights, item.options) = (item.rights.without(right), item.options.without(right));
        }
    }
    for (role, right) in lent.into_iter().rev() {
        let own = wanted.iter().filter(|item| item.grantor == owner && item.grantee == role);
        let own = own.fold((Rights::default(), Rights::default()), |(rights, options), item| {
            (rights.and(item.rights), options.and(item.options))
        });
        if right.without(own.0) == right {
            held.steps.push(revoke(owner.to_owned(), right, role));
        } else if right.without(own.1) == right {
            held.steps.push(Step { by: owner.to_owned(), verb: Verb::RevokeOption, rights: right, grantee: role });
        }
    }
    held.steps
}

/// What has been given so far.
struct Held<'a> {
    owner: &'a str,
    items: Vec<Item>,
    steps: Vec<Step>,
}

impl Held<'_> {
    /// Those of an item's privileges that its grantor can give by now. Options cannot be given back to where they came from.
    fn ready(&self, item: &Item) -> Rights {
        let can = |right: &Rights| {
            let back = !item.options.common(*right).is_empty();
            self.has_option(&item.grantor, *right, back.then_some(item.grantee.as_str()))
        };
        item.rights.each().filter(can).fold(Rights::default(), Rights::and)
    }

    /// Whether a chain of grant options leads from the owner to `role`, not through `but`.
    fn has_option(&self, role: &str, right: Rights, but: Option<&str>) -> bool {
        let but = but.filter(|but| *but != self.owner);
        let mut seen = HashSet::from([role]);
        let mut waiting = vec![role];
        while let Some(role) = waiting.pop() {
            if role == self.owner {
                return true;
            }
            let from = self.items.iter().filter(|item| item.grantee == role && !item.options.common(right).is_empty());
            waiting.extend(from.map(|item| item.grantor.as_str()).filter(|from| Some(*from) != but && seen.insert(from)));
        }
        false
    }

    fn give(&mut self, by: &str, grantee: &str, rights: Rights, options: Rights) {
        for (verb, rights) in [(Verb::Grant, rights.without(options)), (Verb::GrantWithOption, options)] {
            if !rights.is_empty() {
                self.steps.push(Step { by: by.to_owned(), verb, rights, grantee: grantee.to_owned() });
            }
        }
        self.items.push(Item { grantee: grantee.to_owned(), grantor: by.to_owned(), rights, options });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The server's rules (`aclupdate`, `recursive_revoke`, `check_circularity` of `utils/adt/acl.c`).
    #[derive(Debug, Clone)]
    struct Model {
        owner: String,
        items: Vec<Item>,
    }

    impl Model {
        fn options(&self, role: &str) -> Rights {
            if role == self.owner {
                return Rights(u16::MAX);
            }
            let own = self.items.iter().filter(|item| item.grantee == role);
            own.fold(Rights::default(), |all, item| all.and(item.options))
        }

        /// Changes one item; `None` is the server's refusal.
        fn change(&mut self, step: &Step, cascade: bool) -> Option<()> {
            if step.rights.without(self.options(&step.by)) != Rights::default() {
                return None;
            }
            let (grantor, grantee) = (&step.by, &step.grantee);
            if step.verb == Verb::GrantWithOption {
                if grantee.is_empty() {
                    return None;
                }
                if *grantor != self.owner {
                    let mut rest = self.clone();
                    while let Some(item) =
                        rest.items.iter().find(|item| item.grantee == *grantee && !item.options.is_empty()).cloned()
                    {
                        rest.delete(&item.grantor, grantee, item.rights, item.options, true)?;
                    }
                    if step.rights.without(rest.options(grantor)) != Rights::default() {
                        return None;
                    }
                }
            }
            match step.verb {
                Verb::Grant | Verb::GrantWithOption => {
                    let options = if step.verb == Verb::Grant { Rights::default() } else { step.rights };
                    match self.items.iter_mut().find(|item| item.grantee == *grantee && item.grantor == *grantor) {
                        Some(item) => {
                            (item.rights, item.options) = (item.rights.and(step.rights), item.options.and(options));
                        }
                        None => self.items.push(Item {
                            grantee: grantee.clone(),
                            grantor: grantor.clone(),
                            rights: step.rights,
                            options,
                        }),
                    }
                    Some(())
                }
                Verb::Revoke => self.delete(grantor, grantee, step.rights, step.rights, cascade),
                Verb::RevokeOption => self.delete(grantor, grantee, Rights::default(), step.rights, cascade),
            }
        }

        fn delete(&mut self, grantor: &str, grantee: &str, rights: Rights, options: Rights, cascade: bool) -> Option<()> {
            let place = self.items.iter().position(|item| item.grantee == grantee && item.grantor == grantor);
            let Some(place) = place else { return Some(()) };
            let lost = self.items[place].options.common(options);
            let item = &mut self.items[place];
            (item.rights, item.options) = (item.rights.without(rights), item.options.without(options));
            if item.rights.is_empty() {
                self.items.remove(place);
            }
            let lost = lost.without(self.options(grantee));
            while !lost.is_empty()
                && let Some(item) =
                    self.items.iter().find(|item| item.grantor == grantee && !item.rights.common(lost).is_empty()).cloned()
            {
                if !cascade {
                    return None;
                }
                self.delete(&item.grantor, &item.grantee, lost, lost, true)?;
            }
            Some(())
        }

        fn give_to(&mut self, owner: &str) {
            let old = std::mem::replace(&mut self.owner, owner.to_owned());
            let mut items: Vec<Item> = Vec::new();
            for mut item in std::mem::take(&mut self.items) {
                for name in [&mut item.grantee, &mut item.grantor] {
                    if *name == old {
                        owner.clone_into(name);
                    }
                }
                match items.iter_mut().find(|other| other.grantee == item.grantee && other.grantor == item.grantor) {
                    Some(other) => {
                        (other.rights, other.options) = (other.rights.and(item.rights), other.options.and(item.options));
                    }
                    None => items.push(item),
                }
            }
            self.items = items;
        }
    }

    const ROLES: [&str; 6] = ["", "o", "a", "b", "c", "d"];

    fn item(grantee: &str, rights: &str, options: &str, grantor: &str) -> Item {
        Item {
            grantee: grantee.to_owned(),
            grantor: grantor.to_owned(),
            rights: Rights::of(rights),
            options: Rights::of(options),
        }
    }

    fn played(owner: &str, base: &[Item], current: &[Item]) -> Vec<Item> {
        let mut model = Model { owner: owner.to_owned(), items: base.to_vec() };
        for step in steps(owner, base, current, false) {
            model.change(&step, false).unwrap_or_else(|| panic!("{step:?} is refused by {model:?}"));
        }
        model.items
    }

    fn sorted(items: &[Item]) -> Vec<Item> {
        let mut items = items.to_vec();
        items.sort_by(|a, b| (&a.grantee, &a.grantor).cmp(&(&b.grantee, &b.grantor)));
        items
    }

    #[test]
    fn nothing_where_nothing_changed() {
        let base = [item("", "r", "", "o"), item("o", "rw", "", "o")];
        let turned = [base[1].clone(), base[0].clone()];
        assert_eq!(steps("o", &base, &turned, false), []);
    }

    #[test]
    fn a_grantor_that_stands_behind_its_grant() {
        let current = [item("b", "rw", "", "a"), item("a", "w", "w", "c"), item("c", "w", "w", "o"), item("a", "r", "r", "o")];
        assert_eq!(sorted(&played("o", &[], &current)), sorted(&current));
    }

    #[test]
    fn grantors_in_a_ring() {
        let current = [item("a", "r", "r", "b"), item("b", "r", "r", "a"), item("a", "w", "", "o"), item("c", "r", "", "b")];
        assert_eq!(sorted(&played("o", &[], &current)), sorted(&current));
    }

    #[test]
    fn a_grantor_without_its_option_leaves_the_privilege_to_the_owner() {
        assert_eq!(played("o", &[], &[item("b", "r", "", "a")]), [item("b", "r", "", "o")]);
    }

    #[test]
    fn a_column_rests_on_the_options_of_its_table() {
        let steps = steps("o", &[], &[item("b", "r", "", "a")], true);
        assert_eq!((steps.len(), steps[0].by.as_str()), (1, "a"));
    }

    proptest! {
        #[test]
        fn steps_lead_from_any_state_to_any_other(
            from in prop::collection::vec((0..5_usize, 0..6_usize, 0..9_u16, 0..12_u8), 0..14),
            to in prop::collection::vec((0..5_usize, 0..6_usize, 0..9_u16, 0..12_u8), 0..40),
        ) {
            let start = Model { owner: "o".to_owned(), items: vec![item("", "r", "", "o"), item("o", "rwd", "", "o")] };
            let after = |history: Vec<(usize, usize, u16, u8)>, owners: bool| {
                let mut model = start.clone();
                for (by, grantee, rights, verb) in history {
                    if verb == 11 && owners {
                        model.give_to(ROLES[by + 1]);
                        continue;
                    }
                    let rights = Rights(rights.clamp(1, 7) << 1);
                    let verb = match verb {
                        0..=2 => Verb::Grant,
                        3..=7 => Verb::GrantWithOption,
                        8..=9 => Verb::Revoke,
                        _ => Verb::RevokeOption,
                    };
                    let step = Step { by: ROLES[by + 1].to_owned(), verb, rights, grantee: ROLES[grantee].to_owned() };
                    let mut next = model.clone();
                    if next.change(&step, true).is_some() {
                        model = next;
                    }
                }
                model
            };
            // From the default, whoever owns it by now.
            let current = after(to.clone(), true);
            let mut base = start.clone();
            base.give_to(&current.owner);
            prop_assert_eq!(sorted(&played(&current.owner, &base.items, &current.items)), sorted(&current.items));
            // From what an extension gave.
            let (base, current) = (after(from, false), after(to, false));
            prop_assert_eq!(sorted(&played("o", &base.items, &current.items)), sorted(&current.items));
        }
    }
}
