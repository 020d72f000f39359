//! Acts: the smallest actions of the nemesis, each with its undo.
//!
//! Every fault is a list of acts with times. So a fault is plain data: it can be printed before it happens,
//! recorded as it happened, parsed, and undone without knowing which fault it was.
//!
//! ```text
//!   kill n2              start n2            undoes it
//!   terminate n2         start n2
//!   pause n2             resume n2
//!   cut n1>n2 stall      heal n1>n2          also clients>n1 and n1>clients
//!   degrade n1>n2 delay_ms=50 write_max=3
//!                        restore n1>n2
//!   skew n2 offset_ms=-5000 drift_ppm=20000
//!                        unskew n2
//!   starve n2 cpu_percent=5
//!                        feed n2
//!   limit n2 files=0     unlimit n2
//!   lose-power n2 seed=7 start n2            the seed decides which unsynced writes survive
//!   fail-disk n2 full    mend-disk n2
//!   backup n2            (nothing to undo)
//!   damage n2 bitflip seed=7
//!                        (cannot be undone)
//!   remove n2            add n2              asks the leader to remove n2 from the members
//!   transfer n2          (nothing to undo)   asks the leader to hand its leadership to n2
//!   @1500 kill n3        1.5 s after the fault began
//! ```

pub(crate) mod verb;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tribunal_records::DiskKind;

use crate::{CutMode, NodeId, NodeState, ParseNodeError, Quality, faults::AnyVerb, links::LinkChange};
use verb::{Domain, NOT_AN_ACT, Reversal, VerbSpec};

/// One action on one node or one directed link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    pub(crate) verb: AnyVerb,
    pub(crate) target: Target,
}

/// What an act acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A node: its processes, its disk or its membership.
    Node(NodeId),
    /// The link from the first node to the second.
    Link(NodeId, NodeId),
}

impl From<NodeId> for Target {
    fn from(node: NodeId) -> Target {
        Target::Node(node)
    }
}

impl From<(NodeId, NodeId)> for Target {
    fn from((from, to): (NodeId, NodeId)) -> Target {
        Target::Link(from, to)
    }
}

impl Target {
    /// Parses a node, or a link such as `n1>n2`.
    fn read(text: &str, domain: Domain) -> Result<Target, ParseActError> {
        if domain != Domain::Link {
            return Ok(Target::Node(text.parse()?));
        }
        let (from, to) = text.split_once('>').ok_or_else(|| ParseActError::form(text, NOT_AN_ACT))?;
        let (from, to) = (NodeId::parse_end(from)?, NodeId::parse_end(to)?);
        if from == to { Err(ParseActError::form(text, NOT_AN_ACT)) } else { Ok(Target::Link(from, to)) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(node) => node.fmt(f),
            Target::Link(from, to) => write!(f, "{from}>{to}"),
        }
    }
}

impl Act {
    pub(crate) fn spec(self) -> &'static VerbSpec {
        self.verb.spec()
    }

    /// The act that undoes this one; `None` if this act is itself an undo, or cannot be undone.
    pub fn undo(self) -> Option<Act> {
        match self.spec().reversal {
            Reversal::By(verb) => Some(Act { verb, ..self }),
            Reversal::IsUndo | Reversal::Never => None,
        }
    }

    /// The node whose process the act stops: killed or paused.
    pub fn stops(self) -> Option<NodeId> {
        self.node().filter(|_| self.spec().stops_as.is_some())
    }

    /// The node whose process the act ends.
    pub(crate) fn takes_down(self) -> Option<NodeId> {
        self.node().filter(|_| self.spec().stops_as == Some(NodeState::Down))
    }

    /// The node whose disk the act acts on.
    pub fn disk(self) -> Option<NodeId> {
        self.node().filter(|_| self.spec().domain == Domain::Disk)
    }

    /// Whether the act needs a disk made for the run: a plain directory cannot do it.
    pub fn needs_own_disk(self) -> bool {
        (self.spec().missing_on)(DiskKind::Plain).is_some()
    }

    /// The node whose files the act damages.
    pub fn damages(self) -> Option<NodeId> {
        self.disk().filter(|_| self.spec().damages)
    }

    /// The node that the act adds, removes or makes the leader, by a request to the current leader.
    pub fn reconfigures(self) -> Option<NodeId> {
        self.node().filter(|_| self.spec().domain == Domain::Membership)
    }

    /// Whether the act cannot be undone, and is no undo.
    pub(crate) fn is_final(self) -> bool {
        matches!(self.spec().reversal, Reversal::Never)
    }

    /// The node whose process the act impairs without stopping it. The act must be repeated on a new process
    /// of the node.
    pub(crate) fn impairs(self) -> Option<NodeId> {
        self.node().filter(|_| self.spec().impairs)
    }

    /// The node whose process the act pauses. A node that is down cannot be paused.
    pub(crate) fn suspends(self) -> Option<NodeId> {
        self.node().filter(|_| self.spec().stops_as == Some(NodeState::Paused))
    }

    /// The node that must be running for the act.
    pub(crate) fn needs_running(self) -> Option<NodeId> {
        self.suspends().or(self.impairs())
    }

    /// The node that the act acts on; `None` for acts on links.
    pub(crate) fn node(self) -> Option<NodeId> {
        match self.target {
            Target::Node(node) => Some(node),
            Target::Link(..) => None,
        }
    }

    /// The directed link that the act changes, and the change.
    pub(crate) fn link(self) -> Option<((NodeId, NodeId), LinkChange)> {
        match self.target {
            Target::Link(from, to) => self.verb.link_change().map(|change| ((from, to), change)),
            Target::Node(_) => None,
        }
    }

    /// The directed link that the act cuts, and the mode.
    pub(crate) fn cuts(self) -> Option<((NodeId, NodeId), CutMode)> {
        match self.link()? {
            (link, LinkChange::Cut(mode)) => mode.map(|mode| (link, mode)),
            _ => None,
        }
    }

    /// The directed link that the act degrades, and the new quality.
    pub fn degrades(self) -> Option<((NodeId, NodeId), Quality)> {
        match self.link()? {
            (link, LinkChange::Degrade(quality)) => quality.map(|quality| (link, quality)),
            _ => None,
        }
    }

    /// The same act on other nodes.
    pub(crate) fn map(self, rename: impl Fn(NodeId) -> NodeId) -> Act {
        let target = match self.target {
            Target::Node(node) => Target::Node(rename(node)),
            Target::Link(from, to) => Target::Link(rename(from), rename(to)),
        };
        Act { target, ..self }
    }

    /// Whether the act changes a link between a node and its clients.
    pub(crate) fn names_clients(self) -> bool {
        self.nodes().any(|end| end == NodeId::CLIENTS)
    }

    /// The node that the act names, or both ends of its link.
    pub(crate) fn nodes(self) -> impl Iterator<Item = NodeId> {
        let (node, other) = match self.target {
            Target::Node(node) => (node, None),
            Target::Link(from, to) => (from, Some(to)),
        };
        std::iter::once(node).chain(other)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.spec().name, self.target)?;
        match &self.verb.arguments()[..] {
            "" => Ok(()),
            arguments => write!(f, " {arguments}"),
        }
    }
}

/// An act with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TimedAct {
    /// Milliseconds after the fault began.
    pub after_ms: u64,
    /// The act.
    pub act: Act,
}

impl From<Act> for TimedAct {
    fn from(act: Act) -> TimedAct {
        TimedAct { after_ms: 0, act }
    }
}

impl fmt::Display for TimedAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after_ms {
            0 => self.act.fmt(f),
            after_ms => write!(f, "@{after_ms} {}", self.act),
        }
    }
}

/// Why a text is not an act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseActError {
    /// Expected a node, found something else.
    #[error(transparent)]
    Node(#[from] ParseNodeError),
    /// The text has not the form of any act, or the arguments do not fit the verb.
    #[error("{text:?} {why}")]
    Form {
        /// The text.
        text: String,
        /// What is wrong, and what was expected.
        why: &'static str,
    },
}

impl ParseActError {
    fn form(text: &str, why: &'static str) -> ParseActError {
        ParseActError::Form { text: text.to_owned(), why }
    }
}

impl FromStr for TimedAct {
    type Err = ParseActError;

    fn from_str(text: &str) -> Result<TimedAct, ParseActError> {
        let wrong = |why| ParseActError::form(text, why);
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let mut after_ms = 0;
        if let Some(time) = words.first().and_then(|word| word.strip_prefix('@')) {
            after_ms = time.parse().map_err(|_| wrong(NOT_AN_ACT))?;
            words.remove(0);
        }
        let [name, target, arguments @ ..] = &words[..] else { return Err(wrong(NOT_AN_ACT)) };
        let verb = AnyVerb::read(name, arguments).map_err(wrong)?;
        let target = Target::read(target, verb.spec().domain).map_err(|error| match error {
            ParseActError::Form { why, .. } => wrong(why),
            error => error,
        })?;
        Ok(TimedAct { after_ms, act: Act { verb, target } })
    }
}

impl From<TimedAct> for String {
    fn from(act: TimedAct) -> String {
        act.to_string()
    }
}

impl TryFrom<String> for TimedAct {
    type Error = ParseActError;

    fn try_from(text: String) -> Result<TimedAct, ParseActError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_parse_back_and_have_their_undo() {
        for (text, undo) in [
            ("kill n2", Some("start n2")),
            ("terminate n1", Some("start n1")),
            ("@1500 pause n3", Some("resume n3")),
            ("cut n1>n2 stall", Some("heal n1>n2")),
            ("@20 cut n12>n2 reset", Some("heal n12>n2")),
            ("cut clients>n2 stall", Some("heal clients>n2")),
            ("degrade n2>clients delay_ms=5", Some("restore n2>clients")),
            ("degrade n1>n2 delay_ms=~5 write_max=3", Some("restore n1>n2")),
            ("restore n1>n2", None),
            ("skew n3 offset_ms=-5000", Some("unskew n3")),
            ("@9 starve n3 cpu_percent=5", Some("feed n3")),
            ("limit n1 files=0", Some("unlimit n1")),
            ("unskew n1", None),
            ("feed n1", None),
            ("unlimit n1", None),
            ("lose-power n2 seed=7", Some("start n2")),
            ("fail-disk n3 full", Some("mend-disk n3")),
            ("@5 fail-disk n3 sync_ms=50", Some("mend-disk n3")),
            ("mend-disk n3", None),
            ("backup n1", None),
            ("damage n1 bitflip seed=18446744073709551615", None),
            ("start n1", None),
            ("resume n1", None),
            ("@7 heal n2>n1", None),
        ] {
            let act: TimedAct = text.parse().expect(text);
            assert_eq!(act.to_string(), text);
            assert_eq!(act.act.undo().map(|undo| undo.to_string()), undo.map(str::to_owned));
        }
        for text in [
            "",
            "kill",
            "kill m1",
            "kill clients",
            "cut clients>clients stall",
            "kill n1 n2",
            "@x kill n1",
            "cut n1 stall",
            "cut n1>n2",
            "heal n1>n1",
            "skew n1",
            "skew n1 offset_ms=x",
            "starve n1",
            "starve n1 cpu_percent=100",
            "limit n1 files",
            "degrade n1>n2 delay_ms=0",
            "fail-disk n3 sync_ms=0",
        ] {
            assert!(text.parse::<TimedAct>().is_err(), "{text:?}");
        }
    }
}
