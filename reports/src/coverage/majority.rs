//! Whether some faults together leave a majority of nodes that all reach each other and their clients.
//!
//! A node counts as lost if a fault stops it, impairs it or targets it, or cuts one of its links to clients.
//! The rest must contain a majority without a cut link between any two: no system owes progress to fewer
//! nodes. All cuts of a fault count as if they were in force together, so a partition that shifts from one
//! majority to the next leaves none.

use crate::faults::Fault;

/// The name of all clients as one end of a link.
const CLIENTS: &str = "clients";

/// Whether a majority of `nodes` is left while all of these faults are in force.
pub(super) fn is_left(nodes: &[&str], faults: &[&Fault]) -> bool {
    let number = |name: &str| nodes.iter().position(|node| *node == name);
    let mut parted = vec![0u128; nodes.len()];
    let mut gone = 0u128;
    for fault in faults {
        fault.nodes.iter().filter_map(|name| number(name)).for_each(|node| gone |= 1 << node);
        for (from, to) in fault.cuts.iter().filter_map(|cut| cut.split_once('>')) {
            match (number(from), number(to)) {
                (Some(from), Some(to)) => {
                    parted[from] |= 1 << to;
                    parted[to] |= 1 << from;
                }
                (Some(node), None) if to == CLIENTS => gone |= 1 << node,
                (None, Some(node)) if from == CLIENTS => gone |= 1 << node,
                _ => {}
            }
        }
    }
    let here = (0..nodes.len()).fold(0, |all, node| all | 1 << node) & !gone;
    holds(here, nodes.len() as u32 / 2 + 1, &parted)
}

/// Whether this many of the nodes are fully connected.
fn holds(nodes: u128, needed: u32, parted: &[u128]) -> bool {
    if nodes.count_ones() < needed {
        return false;
    }
    let others = |node: usize| (nodes & parted[node]).count_ones();
    let here = (0..parted.len()).filter(|node| nodes & 1 << node != 0);
    match here.max_by_key(|&node| others(node)).filter(|&node| others(node) > 0) {
        None => true,
        // Leave out either this node, or the nodes that it is cut off from.
        Some(node) => {
            holds(nodes & !(1 << node), needed, parted) || holds(nodes & !parted[node], needed, parted)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(nodes: &[&str], cuts: &[&str]) -> Fault {
        let texts = |all: &[&str]| all.iter().map(|text| text.to_string()).collect();
        Fault { nodes: texts(nodes), cuts: texts(cuts), ..Fault::default() }
    }

    #[test]
    fn a_majority_reaches_each_other_and_its_clients() {
        let five = ["n1", "n2", "n3", "n4", "n5"];
        let left = |faults: &[Fault]| is_left(&five, &faults.iter().collect::<Vec<_>>());
        assert!(left(&[]));
        assert!(left(&[fault(&["n1", "n2"], &[])]));
        assert!(!left(&[fault(&["n1", "n2"], &[]), fault(&["n5"], &[])]));
        assert!(left(&[fault(&["n1"], &["n1>n2", "n1>n3", "n4>n1", "n5>n1"])]));
        assert!(!left(&[fault(&["n1", "n2"], &["n3>n4"])]), "n3, n4 and n5 are all that is left");
        assert!(left(&[fault(&["n1"], &["n3>n4"])]), "n2, n5 and one of the two");
        assert!(!left(&[fault(&["n1", "n2"], &["clients>n3"])]));
        assert!(left(&[fault(&[], &["n3>clients", "clients>n1"])]));
        let ring = ["n1>n3", "n1>n4", "n2>n4", "n2>n5", "n3>n5"];
        assert!(!left(&[fault(&[], &ring)]), "each reaches two others, and no three reach each other");
    }

    #[test]
    fn as_many_nodes_as_a_run_may_have_are_no_trouble() {
        let names: Vec<String> = (1..=25).map(|i| format!("n{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let parted = |apart: usize| {
            let pairs = (0..25).flat_map(|i| (0..25).map(move |j| (i, j)));
            let cut = pairs.filter(|(i, j)| i != j && i % apart != j % apart);
            let cuts: Vec<String> = cut.map(|(i, j)| format!("n{}>n{}", i + 1, j + 1)).collect();
            Fault { cuts, ..Fault::default() }
        };
        assert!(is_left(&names, &[&parted(2)]), "thirteen and twelve");
        assert!(!is_left(&names, &[&parted(3)]));
    }
}
