//! Grudges: which node does not hear which.
//!
//! A [`Grudge`] is a set of *directed* cuts, `n1>n2`: what n1 sends does not reach n2. The shapes below are
//! pure functions of an *order* of the nodes, usually shuffled. The first node in it gets the special role of
//! the shape (alone, the bridge, on the smaller side). So a partition targets the leader if the leader comes
//! first.
//!
//! ```text
//!   halves          bridge          majority ring            one-way
//!   1 2 | 3 4 5     2 3 ┐   ┌ 4 5   each hears itself and    1 2 ──✗─▶ 3 4 5
//!                       └ 1 ┘       its ring neighbours      1 2 ◀──── 3 4 5
//! ```
//!
//! The shapes are those of Jepsen's nemesis (`jepsen.nemesis`: bisect, bridge, majorities-ring), which cut
//! both directions or only incoming packets. One-way cuts are the partial partitions of Alquraan et al., "An
//! Analysis of Network-Partitioning Failures in Cloud Systems", OSDI 2018.
//!
//! As text, for flags and labels (parsing the text gives the same grudge):
//!
//! ```text
//!   {n1,n2 | n3,n4,n5}     no node hears a node of another group; nodes that are not named hear all
//!   {n1 > n2,n3}           n2 and n3 do not hear n1, but n1 hears them
//!   n1>n2,n3|n4            single pairs: one way, both ways; commas separate pairs and braces
//!   {n1 | n2,n3,clients}   `clients`: all clients; if it is not named, clients stay with their nodes
//! ```

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::{NodeId, ParseNodeError};

/// A set of directed cuts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grudge(BTreeSet<(NodeId, NodeId)>);

impl Grudge {
    /// The cuts as (from, to), in order: what `from` sends does not reach `to`.
    pub fn cuts(&self) -> impl Iterator<Item = (NodeId, NodeId)> {
        self.0.iter().copied()
    }

    /// Whether nothing is cut.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether what `from` sends reaches `to`.
    pub fn hears(&self, to: NodeId, from: NodeId) -> bool {
        !self.0.contains(&(from, to))
    }

    /// Groups of nodes that do not hear each other.
    pub fn between(groups: &[&[NodeId]]) -> Grudge {
        let mut grudge = Grudge::default();
        for (at, group) in groups.iter().enumerate() {
            for other in groups[..at].iter().chain(&groups[at + 1..]) {
                grudge.0.extend(Grudge::one_way(group, other).0);
            }
        }
        grudge
    }

    /// What the `mute` nodes send does not reach the `deaf` nodes; the other direction stays open.
    pub fn one_way(mute: &[NodeId], deaf: &[NodeId]) -> Grudge {
        mute.iter().flat_map(|&from| deaf.iter().map(move |&to| (from, to))).collect()
    }

    /// Separates the first `minority` nodes of the order from the others: 1 isolates the first node, half of
    /// them bisects.
    pub fn split(order: &[NodeId], minority: usize) -> Grudge {
        let (few, others) = order.split_at(minority.min(order.len()));
        Grudge::between(&[few, others])
    }

    /// Two halves, as even as possible, joined only by the first node of the order, which hears all. Empty
    /// with fewer than three nodes.
    pub fn bridge(order: &[NodeId]) -> Grudge {
        let halves = order.get(1..).unwrap_or_default();
        let (left, right) = halves.split_at(halves.len() / 2);
        Grudge::between(&[left, right])
    }

    /// Takes the order as a ring, in which every node hears just a majority (itself and its nearest) and no
    /// two hear the same one. Symmetric if a majority is odd; for 3 nodes (majority of 2) it is the ring of
    /// one-way links. Empty with fewer than three nodes.
    pub fn majority_ring(order: &[NodeId]) -> Grudge {
        let n = order.len();
        let majority = n / 2 + 1;
        let mut grudge = Grudge::default();
        for at in 0..n {
            // The window of the ring with the hearing node in its middle.
            let first = at + n - (majority - 1) / 2;
            let unheard = (majority..n).map(|step| order[(first + step) % n]);
            grudge.0.extend(unheard.map(|from| (from, order[at])));
        }
        grudge
    }

    /// The sides of the grudge and the sign between them, if it cuts everything between some groups, or
    /// everything one way between two.
    fn shape(&self) -> Option<(Vec<Vec<NodeId>>, char)> {
        let senders: BTreeSet<NodeId> = self.cuts().map(|(from, _)| from).collect();
        let receivers: BTreeSet<NodeId> = self.cuts().map(|(_, to)| to).collect();
        let apart = senders.is_disjoint(&receivers) && !self.is_empty();
        let (mute, deaf): (Vec<_>, Vec<_>) = (senders.into_iter().collect(), receivers.into_iter().collect());
        if apart && *self == Grudge::one_way(&mute, &deaf) {
            return Some((vec![mute, deaf], '>'));
        }
        // In a partition into groups, a node hears exactly its group. Smaller groups come first.
        let mut groups: Vec<Vec<NodeId>> = Vec::new();
        for &node in &mute {
            let group: Vec<NodeId> = mute.iter().copied().filter(|&other| self.hears(node, other)).collect();
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups.sort_by_key(|group| (group.len(), group.clone()));
        let whole = *self == Grudge::between(&groups.iter().map(Vec::as_slice).collect::<Vec<_>>());
        (whole && groups.len() > 1).then_some((groups, '|'))
    }

    /// For a label: the links, or their number if they have no shape and would not fit into a line.
    pub(crate) fn in_words(&self) -> String {
        match self.shape() {
            None if self.0.len() > LINKS_SHOWN_MAX => format!("{} links", self.0.len()),
            _ => self.to_string(),
        }
    }

    /// The two groups that are connected only through a node, apart from the links of that node, which may also be
    /// cut.
    pub(crate) fn bridged_by(&self, node: NodeId) -> Option<[Vec<NodeId>; 2]> {
        let others: Grudge = self.cuts().filter(|(from, to)| *from != node && *to != node).collect();
        let (groups, '|') = others.shape()? else { return None };
        groups.try_into().ok()
    }

    /// The nodes that the grudge targets: the smaller side, or without sides all nodes that it names.
    pub fn aimed_at(&self) -> Vec<NodeId> {
        let nodes_of = |mut side: Vec<NodeId>| {
            side.retain(|end| *end != NodeId::CLIENTS);
            side
        };
        match self.shape() {
            Some((sides, _)) => {
                let sides = sides.into_iter().map(nodes_of).filter(|side| !side.is_empty());
                sides.min_by_key(Vec::len).unwrap_or_default()
            }
            None => {
                let named: BTreeSet<NodeId> = self.cuts().flat_map(|(from, to)| [from, to]).collect();
                nodes_of(named.into_iter().collect())
            }
        }
    }
}

/// The maximum number of links without a shape that a label lists.
const LINKS_SHOWN_MAX: usize = 6;

impl FromIterator<(NodeId, NodeId)> for Grudge {
    fn from_iter<I: IntoIterator<Item = (NodeId, NodeId)>>(cuts: I) -> Grudge {
        Grudge(cuts.into_iter().filter(|(from, to)| from != to).collect())
    }
}

impl fmt::Display for Grudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((sides, sign)) = self.shape() {
            let sides: Vec<String> = sides.iter().map(|side| join(side)).collect();
            return write!(f, "{{{}}}", sides.join(&format!(" {sign} ")));
        }
        let pairs = self.cuts().filter_map(|(from, to)| match self.hears(from, to) {
            true => Some(format!("{from}>{to}")),
            false => (from < to).then(|| format!("{from}|{to}")),
        });
        f.write_str(&pairs.collect::<Vec<_>>().join(","))
    }
}

/// Nodes as `n1,n2,n5`.
pub(crate) fn join(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(",")
}

/// Why a text is not a grudge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseGrudgeError {
    /// Expected a node, found something else.
    #[error(transparent)]
    Node(#[from] ParseNodeError),
    /// A part without a sign, or with two.
    #[error("`{0}` is not a partition: expected n1>n2, n1|n2, {{n1,n2 | n3}} or {{n1 > n2,n3}}")]
    Part(String),
    /// A brace that is not closed.
    #[error("a `{{` is not closed by `}}`")]
    Brace,
    /// A node that would not hear itself.
    #[error("{0} is on both sides of a partition")]
    Itself(NodeId),
}

impl FromStr for Grudge {
    type Err = ParseGrudgeError;

    fn from_str(text: &str) -> Result<Grudge, ParseGrudgeError> {
        let mut grudge = Grudge::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (part, after) = match rest.strip_prefix('{') {
                Some(inside) => inside.split_once('}').ok_or(ParseGrudgeError::Brace)?,
                None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
            };
            grudge.0.extend(parse_part(part)?.0);
            rest = after.trim_start().strip_prefix(',').unwrap_or(after).trim();
        }
        Ok(grudge)
    }
}

fn parse_part(part: &str) -> Result<Grudge, ParseGrudgeError> {
    let wrong = || ParseGrudgeError::Part(part.to_owned());
    let sign = part.chars().find(|c| matches!(c, '>' | '|')).ok_or_else(wrong)?;
    let mut sides: Vec<Vec<NodeId>> = Vec::new();
    for side in part.split(sign) {
        let nodes: Result<Vec<NodeId>, _> =
            side.split(',').map(|end| NodeId::parse_end(end.trim())).collect();
        sides.push(nodes?);
    }
    let mut seen = BTreeSet::new();
    if let Some(&twice) = sides.iter().flatten().find(|&&node| !seen.insert(node)) {
        return Err(ParseGrudgeError::Itself(twice));
    }
    match (sign, &sides[..]) {
        ('>', [mute, deaf]) => Ok(Grudge::one_way(mute, deaf)),
        ('|', groups) => Ok(Grudge::between(&groups.iter().map(Vec::as_slice).collect::<Vec<_>>())),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nodes(n: usize) -> Vec<NodeId> {
        (0..n).map(NodeId).collect()
    }

    fn check(grudge: Grudge, text: &str) {
        assert_eq!(grudge.to_string(), text);
        assert_eq!(text.parse(), Ok(grudge));
    }

    #[test]
    fn shapes_have_a_readable_text() {
        let order = [4, 0, 1, 2, 3].map(NodeId);
        check(Grudge::split(&order, 1), "{n5 | n1,n2,n3,n4}");
        check(Grudge::split(&order, 2), "{n1,n5 | n2,n3,n4}");
        check(Grudge::bridge(&order), "{n1,n2 | n3,n4}");
        check(Grudge::one_way(&order[..1], &order[1..]), "{n5 > n1,n2,n3,n4}");
        check(Grudge::majority_ring(&nodes(5)), "n1|n3,n1|n4,n2|n4,n2|n5,n3|n5");
        check(Grudge::majority_ring(&nodes(3)), "n1>n2,n2>n3,n3>n1");
        check(Grudge::between(&[&nodes(1), &[NodeId(1)], &[NodeId(2)]]), "{n1 | n2 | n3}");
        check(Grudge::default(), "");
    }

    #[test]
    fn clients_may_be_on_a_side() {
        let n = nodes(3);
        let alone = Grudge::between(&[&n[..1], &[n[1], n[2], NodeId::CLIENTS]]);
        check(alone.clone(), "{n1 | n2,n3,clients}");
        assert_eq!(alone.aimed_at(), &n[..1]);
        check(Grudge::one_way(&[NodeId::CLIENTS], &n[1..]), "{clients > n2,n3}");
        assert_eq!(Grudge::one_way(&[NodeId::CLIENTS], &n[1..]).aimed_at(), &n[1..]);
        check(Grudge::between(&[&n[..1], &[NodeId::CLIENTS]]), "{n1 | clients}");
        check([(n[0], n[1]), (n[1], NodeId::CLIENTS)].into_iter().collect(), "n1>n2,n2>clients");
    }

    #[test]
    fn a_grudge_may_be_given_pair_by_pair() {
        let mixed: Grudge = "n1>n2,n3|n4".parse().expect("a grudge");
        assert_eq!(mixed.to_string(), "n1>n2,n3|n4");
        assert!(!mixed.hears(NodeId(1), NodeId(0)) && mixed.hears(NodeId(0), NodeId(1)));
        let braces: Grudge = " {n1,n2|n3} , n4 > n5 ".parse().expect("a grudge");
        assert_eq!(braces.cuts().count(), 5);
        for (text, error) in [
            ("n1", "`n1` is not a partition: expected n1>n2, n1|n2, {n1,n2 | n3} or {n1 > n2,n3}"),
            (
                "n1>n2>n3",
                "`n1>n2>n3` is not a partition: expected n1>n2, n1|n2, {n1,n2 | n3} or {n1 > n2,n3}",
            ),
            ("n1|x", "\"x\" is not a node: nodes are n1, n2, n3, ..."),
            ("{n1 | n2", "a `{` is not closed by `}`"),
            ("n1>n1", "n1 is on both sides of a partition"),
        ] {
            assert_eq!(text.parse::<Grudge>().expect_err(text).to_string(), error);
        }
    }

    fn orders(least: usize) -> impl Strategy<Value = Vec<NodeId>> {
        (least..10usize).prop_flat_map(|n| Just(nodes(n)).prop_shuffle())
    }

    fn heard(grudge: &Grudge, to: NodeId, order: &[NodeId]) -> BTreeSet<NodeId> {
        order.iter().copied().filter(|&from| grudge.hears(to, from)).collect()
    }

    proptest! {
        #[test]
        fn grudges_parse_back(cuts in prop::collection::vec((0..6usize, 0..6usize), 0..20)) {
            let grudge: Grudge = cuts.into_iter().map(|(from, to)| (NodeId(from), NodeId(to))).collect();
            prop_assert_eq!(grudge.to_string().parse(), Ok(grudge));
        }

        #[test]
        fn a_split_is_symmetric_and_leaves_each_side_whole(order in orders(1), at in 0..10usize) {
            let at = at.min(order.len());
            let grudge = Grudge::split(&order, at);
            for &a in &order {
                for &b in &order {
                    let together = order[..at].contains(&a) == order[..at].contains(&b);
                    prop_assert_eq!(grudge.hears(a, b), together);
                }
            }
        }

        #[test]
        fn a_bridge_hears_and_is_heard_by_all_and_joins_halves(order in orders(3)) {
            let grudge = Grudge::bridge(&order);
            for &node in &order {
                prop_assert!(grudge.hears(node, order[0]) && grudge.hears(order[0], node));
            }
            let sizes: Vec<usize> = order[1..].iter().map(|&node| heard(&grudge, node, &order).len()).collect();
            let half = order.len().div_ceil(2);
            prop_assert!(sizes.iter().all(|&size| size == half || size == half + 1), "{:?}", sizes);
        }

        #[test]
        fn in_a_majority_ring_everyone_hears_a_majority_and_no_two_the_same(order in orders(3)) {
            let grudge = Grudge::majority_ring(&order);
            let views: BTreeSet<_> = order.iter().map(|&node| heard(&grudge, node, &order)).collect();
            prop_assert_eq!(views.len(), order.len());
            for (node, view) in order.iter().map(|&node| (node, heard(&grudge, node, &order))) {
                prop_assert_eq!(view.len(), order.len() / 2 + 1);
                prop_assert!(view.contains(&node));
            }
        }

        #[test]
        fn one_way_leaves_the_way_back(order in orders(2), at in 1..9usize) {
            let (mute, deaf) = order.split_at(at.min(order.len() - 1));
            let grudge = Grudge::one_way(mute, deaf);
            for &a in mute {
                for &b in deaf {
                    prop_assert!(!grudge.hears(b, a) && grudge.hears(a, b));
                }
            }
        }
    }
}
