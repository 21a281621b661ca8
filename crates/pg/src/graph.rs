//! In which order a dump creates its objects.
//!
//! What pg_dump does in `pg_dump_sort.c` with ten loop repairs is done here with one: an object that has an
//! [`early`](Object::early) form is split in two where it stands in a loop, or where it needs something of a later section.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};

use backup_core::{Error, Result};

use crate::object::{Id, Kind, Object, Section};

/// One step of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step<'a> {
    /// Which object.
    pub(crate) object: &'a Object,
    /// The section in which it is created, which can be later than its kind's.
    pub(crate) section: Section,
    /// Whether this is its early form.
    pub(crate) early: bool,
}

impl<'a> Step<'a> {
    /// The statements of this step.
    pub(crate) fn sql(&self) -> &'a str {
        if self.early { self.object.early.as_deref().unwrap_or_default() } else { &self.object.create }
    }
}

/// A node: an object (by its place), and whether it is its early form.
type Node = (usize, bool);

/// Puts `objects` in order: sections first, then what each one `needs` (`edges`: the first needs the second), then kind and name.
///
/// The order is the same for the same objects. A loop that cannot be resolved is an error that names its members.
pub(crate) fn order<'a>(objects: &'a [Object], edges: &[(Id, Id)]) -> Result<Vec<Step<'a>>> {
    let place: HashMap<Id, usize> = objects.iter().enumerate().map(|(place, object)| (object.id, place)).collect();
    let mut graph = Graph {
        objects,
        needs: BTreeMap::new(),
        section: objects.iter().enumerate().map(|(place, object)| ((place, false), object.id.kind.section())).collect(),
    };
    for (place, _) in objects.iter().enumerate() {
        graph.needs.insert((place, false), BTreeSet::new());
    }
    let own = objects.iter().flat_map(|object| object.needs.iter().map(|needed| (object.id, *needed)));
    for (from, to) in edges.iter().copied().chain(own) {
        if let (Some(&from), Some(&to)) = (place.get(&from), place.get(&to))
            && from != to
        {
            graph.needs.entry((from, false)).or_default().insert((to, false));
        }
    }
    graph.move_behind();
    graph.break_loops()?;
    graph.sorted()
}

struct Graph<'a> {
    objects: &'a [Object],
    needs: BTreeMap<Node, BTreeSet<Node>>,
    section: BTreeMap<Node, Section>,
}

impl<'a> Graph<'a> {
    /// Whatever needs something of a later section goes there itself, or leaves an early form behind for those before it.
    fn move_behind(&mut self) {
        loop {
            let late = self.needs.iter().find_map(|(node, needs)| {
                let section = self.section.get(node)?;
                needs.iter().any(|need| self.section.get(need) > Some(section)).then_some(*node)
            });
            let Some(node) = late else { return };
            if self.objects[node.0].early.is_some() {
                let before: Vec<Node> =
                    self.dependents(node).filter(|other| self.section.get(other) == Some(&Section::Pre)).collect();
                self.split(node, &before);
            }
            self.section.insert(node, Section::Post);
        }
    }

    /// Splits members of loops that can be split, until there is no loop.
    fn break_loops(&mut self) -> Result<()> {
        while let Some(cycle) = self.cycle() {
            let candidate = cycle
                .iter()
                .copied()
                .find(|node| !node.1 && self.objects[node.0].early.is_some() && !self.needs.contains_key(&(node.0, true)));
            // A type before a view: a shell type is always completed, and readers of a view need all of its columns' types.
            let candidate = cycle
                .iter()
                .copied()
                .find(|node| !node.1 && self.objects[node.0].id.kind == Kind::Type && self.objects[node.0].early.is_some())
                .filter(|node| !self.needs.contains_key(&(node.0, true)))
                .or(candidate);
            if let Some(node) = candidate {
                let members: HashSet<Node> = cycle.iter().copied().collect();
                let dependents: Vec<Node> = self.dependents(node).filter(|other| members.contains(other)).collect();
                self.split(node, &dependents);
                continue;
            }
            // Split already, and another member still asks for the whole: give it the early form too.
            let redirected = cycle.iter().enumerate().find_map(|(at, node)| {
                let need = cycle[(at + 1) % cycle.len()];
                (!need.1 && self.needs.contains_key(&(need.0, true))).then_some((*node, need))
            });
            let Some((node, need)) = redirected else {
                let members: Vec<&str> = cycle.iter().map(|node| self.objects[node.0].label.as_str()).collect();
                return Err(Error::failed(format!(
                    "cannot put these in an order, each needs the next: {}",
                    members.join(", ")
                ))
                .with_hint("take this database with the external source until the loop is gone"));
            };
            if let Some(needs) = self.needs.get_mut(&node) {
                needs.remove(&need);
                needs.insert((need.0, true));
            }
        }
        Ok(())
    }

    fn dependents(&self, node: Node) -> impl Iterator<Item = Node> + '_ {
        self.needs.iter().filter(move |(_, needs)| needs.contains(&node)).map(|(other, _)| *other)
    }

    /// Adds the early form of `node`, and makes `dependents` need only that.
    fn split(&mut self, node: Node, dependents: &[Node]) {
        let early = (node.0, true);
        // What a shell or an empty view needs: its schema, and the types of its columns, which are never in the loop.
        let light: BTreeSet<Node> = self.needs[&node]
            .iter()
            .copied()
            .filter(|need| {
                matches!(self.objects[need.0].id.kind, Kind::Schema | Kind::Extension | Kind::Type | Kind::Collation)
            })
            .collect();
        self.needs.insert(early, light);
        self.section.insert(early, Section::Pre);
        if let Some(needs) = self.needs.get_mut(&node) {
            needs.insert(early);
        }
        for other in dependents.iter().filter(|other| **other != early && **other != node) {
            if let Some(needs) = self.needs.get_mut(other) {
                needs.remove(&node);
                needs.insert(early);
            }
        }
    }

    /// Finds a loop, each member needing the next and the last the first.
    fn cycle(&self) -> Option<Vec<Node>> {
        let mut done: HashSet<Node> = HashSet::new();
        for start in self.needs.keys() {
            if done.contains(start) {
                continue;
            }
            // Depth first, without recursion: hostile schemas are deep.
            let mut path: Vec<(Node, Vec<Node>)> = vec![(*start, self.needs[start].iter().copied().collect())];
            let mut on_path: HashSet<Node> = HashSet::from([*start]);
            while let Some((node, left)) = path.last_mut() {
                let node = *node;
                match left.pop() {
                    Some(next) if on_path.contains(&next) => {
                        let from = path.iter().position(|(node, _)| *node == next).unwrap_or_default();
                        return Some(path[from..].iter().map(|(node, _)| *node).collect());
                    }
                    Some(next) if done.contains(&next) => {}
                    Some(next) => {
                        on_path.insert(next);
                        path.push((next, self.needs.get(&next).into_iter().flatten().copied().collect()));
                    }
                    None => {
                        on_path.remove(&node);
                        done.insert(node);
                        path.pop();
                    }
                }
            }
        }
        None
    }

    fn sorted(&self) -> Result<Vec<Step<'a>>> {
        let key = |node: &Node| {
            let object = &self.objects[node.0];
            (self.section[node], object.id.kind, &object.order, object.id.oid, *node)
        };
        let mut waiting: HashMap<Node, usize> = self.needs.iter().map(|(node, needs)| (*node, needs.len())).collect();
        let mut needed_by: HashMap<Node, Vec<Node>> = HashMap::new();
        for (node, needs) in &self.needs {
            for need in needs {
                needed_by.entry(*need).or_default().push(*node);
            }
        }
        let free = waiting.iter().filter(|(_, count)| **count == 0);
        let mut ready: BinaryHeap<Reverse<_>> = free.map(|(node, _)| Reverse(key(node))).collect();
        let mut steps = Vec::with_capacity(waiting.len());
        while let Some(Reverse((section, _, _, _, node))) = ready.pop() {
            steps.push(Step { object: &self.objects[node.0], section, early: node.1 });
            for other in needed_by.get(&node).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(other) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(Reverse(key(other)));
                    }
                }
            }
        }
        // A heap pops by section first, but something of an earlier section may have become free late: it never needs a later one.
        steps.sort_by_key(|step| step.section);
        if steps.len() != waiting.len() {
            return Err(Error::failed("the order of objects has a loop that was not found"));
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: Kind, oid: u32, early: bool) -> Object {
        let name = format!("n{oid}");
        let mut object = Object::new(kind, oid, format!("{kind:?} {oid}"), ["s", &name, ""], format!("create {oid};\n"));
        object.early = early.then(|| format!("early {oid};\n"));
        object
    }

    fn told(objects: &[Object], edges: &[(usize, usize)]) -> Vec<String> {
        let edges: Vec<_> = edges.iter().map(|(from, to)| (objects[*from].id, objects[*to].id)).collect();
        let steps = order(objects, &edges).expect("an order");
        steps.iter().map(|step| step.sql().trim_end_matches(";\n").to_owned()).collect()
    }

    #[test]
    fn kinds_come_in_order_and_needs_before_that() {
        let objects = [object(Kind::Relation, 1, false), object(Kind::Function, 2, false), object(Kind::Schema, 3, false)];
        assert_eq!(told(&objects, &[]), ["create 3", "create 2", "create 1"]);
        assert_eq!(told(&objects, &[(1, 0), (0, 2)]), ["create 3", "create 1", "create 2"]);
    }

    #[test]
    fn a_type_and_its_functions() {
        let objects = [object(Kind::Type, 1, true), object(Kind::Function, 2, false), object(Kind::Relation, 3, false)];
        assert_eq!(told(&objects, &[(0, 1), (1, 0), (2, 0)]), ["early 1", "create 2", "create 1", "create 3"]);
    }

    #[test]
    fn a_view_that_needs_a_primary_key_and_a_function_over_its_rows() {
        let objects = [
            object(Kind::Relation, 1, true),
            object(Kind::Constraint, 2, false),
            object(Kind::Function, 3, false),
            object(Kind::Relation, 4, false),
        ];
        // The view 1 needs the key 2 of the table 4; the function 3 returns rows of the view.
        assert_eq!(
            told(&objects, &[(0, 1), (0, 3), (1, 3), (2, 0)]),
            ["early 1", "create 3", "create 4", "create 2", "create 1"]
        );
    }

    #[test]
    fn two_views_that_need_each_other_through_functions() {
        let objects = [object(Kind::Relation, 1, true), object(Kind::Function, 2, false), object(Kind::Relation, 3, true)];
        let order = told(&objects, &[(0, 1), (1, 2), (2, 0)]);
        assert_eq!(order.iter().filter(|sql| sql.starts_with("create")).count(), 3);
    }

    #[test]
    fn a_loop_of_tables_is_named() {
        let objects = [object(Kind::Relation, 1, false), object(Kind::Relation, 2, false)];
        let edges = [(objects[0].id, objects[1].id), (objects[1].id, objects[0].id)];
        let error = order(&objects, &edges).expect_err("a loop");
        assert!(error.to_string().contains("Relation 1") && error.to_string().contains("Relation 2"));
    }
}
