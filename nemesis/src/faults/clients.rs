//! Clients: nodes are cut off from their clients, with or without a partition among the nodes.
//!
//! ```text
//!   partition:isolate-leader     clients:leader-alone            clients:leader       clients:leader-answers
//!   clients ─ n1 │ n2 ─ clients  clients │ n1 │ n2 ─ clients     clients │ n1 ── n2   clients ◀─✗─ n1 ── n2
//!                │ n3 ─ clients          │    │ n3 ─ clients             │  └─── n3           ──▶
//! ```
//!
//! A primary that is isolated *with* its clients still gets requests, and may give wrong responses. A primary
//! that is isolated *without* its clients, as behind a failed switch, gets no new requests; earlier requests
//! may still take effect after the heal. If a response is lost, the client never learns whether its request
//! took effect.
//!
//! Clients connect to nodes through proxies only in a run that may cut these links. In all other runs they
//! connect directly.

use crate::{
    NodeId, TimedAct,
    faults::{DrawContext, Fault, Kind},
    links::grudge::Grudge,
    plan,
};

pub(crate) const FAULT: Fault = Fault {
    name: "clients",
    about: "cuts nodes off from their clients; the undo reconnects them",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("leader-alone", "isolates the leader from all other nodes and from its clients"),
        Kind::leader("leader", "isolates the leader from its clients only"),
        Kind::leader("leader-answers", "responses of the leader do not reach its clients"),
        Kind::any_node(
            "minority-alone",
            "isolates a random minority from all other nodes and from its clients",
        ),
        Kind::any_node("one", "isolates a random node from its clients only"),
    ],
    draw,
};

fn draw(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    let cuts = grudge(kind, &context.order);
    plan::cut_links(&cuts, context.mode)
}

fn grudge(kind: &str, order: &[NodeId]) -> Grudge {
    let few = if kind == "minority-alone" { order.len().saturating_sub(1) / 2 } else { 1 };
    let (few, others) = order.split_at(few.clamp(1, order.len().max(1)).min(order.len()));
    let clients = [NodeId::CLIENTS];
    match kind {
        "leader-alone" | "minority-alone" => Grudge::between(&[few, &[others, &clients].concat()]),
        "leader-answers" => Grudge::one_way(few, &clients),
        _ => Grudge::between(&[few, &clients]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_does_what_its_description_says() {
        let order = [2, 0, 1, 3, 4].map(NodeId);
        let check = |kind, text: &str| assert_eq!(grudge(kind, &order).to_string(), text, "{kind}");
        check("leader-alone", "{n3 | n1,n2,n4,n5,clients}");
        check("leader", "{n3 | clients}");
        check("leader-answers", "{n3 > clients}");
        check("minority-alone", "{n1,n3 | n2,n4,n5,clients}");
        check("one", "{n3 | clients}");
        for kind in FAULT.kinds {
            assert_eq!(
                grudge(kind.name, &order[..1]).aimed_at(),
                [NodeId(2)],
                "of a single node: {}",
                kind.name
            );
        }
    }
}
