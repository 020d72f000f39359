//! Acts: the smallest things the nemesis does, each with its undo.
//!
//! Every fault, however elaborate, is a list of acts with times, and so plain data: it can be printed before it happens,
//! recorded as it happened, read back, and undone without knowing which fault it was.
//!
//! ```text
//!   kill n2              start n2       undoes it
//!   terminate n2         start n2
//!   pause n2             resume n2
//!   cut n1>n2 stall      heal n1>n2          also of clients>n1, and n1>clients
//!   degrade n1>n2 delay_ms=50 write_max=3
//!                        restore n1>n2
//!   skew n2 offset_ms=-5000 drift_ppm=20000
//!                        unskew n2
//!   starve n2 cpu_percent=5
//!                        feed n2
//!   limit n2 files=0     unlimit n2
//!   lose-power n2 seed=7 start n2       the seed decides what survives of what was not synced
//!   fail-disk n2 full    mend-disk n2
//!   backup n2            (nothing to undo)
//!   damage n2 bitflip seed=7
//!                        (cannot be undone: the system has to live with it)
//!   remove n2            add n2         the leader is asked to leave it out of the members
//!   transfer n2          (nothing to undo; the leader is asked to let it lead)
//!   @1500 kill n3        1.5 s after the fault began
//! ```

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    CutMode, Limit, NodeId, ParseNodeError, Quality, Skew,
    disks::{Damage, Trouble},
};

/// One thing done to one node or one directed link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// SIGKILL.
    Kill(NodeId),
    /// SIGTERM.
    Terminate(NodeId),
    /// Starts a node that is down: the undo of `Kill` and `Terminate`.
    Start(NodeId),
    /// SIGSTOP.
    Pause(NodeId),
    /// SIGCONT: the undo of `Pause`.
    Resume(NodeId),
    /// Cuts the link from the first node to the second.
    Cut(NodeId, NodeId, CutMode),
    /// Opens the link from the first node to the second: the undo of `Cut`.
    Heal(NodeId, NodeId),
    /// Makes the link from the first node to the second bad.
    Degrade(NodeId, NodeId, Quality),
    /// Makes the link from the first node to the second good: the undo of `Degrade`.
    Restore(NodeId, NodeId),
    /// Makes the clocks of the node's processes wrong.
    Skew(NodeId, Skew),
    /// Makes the clocks true: the undo of `Skew`.
    Unskew(NodeId),
    /// Gives the node's processes so many percent of one processor.
    Starve(NodeId, u8),
    /// Gives them all they want: the undo of `Starve`.
    Feed(NodeId),
    /// Lets the node's processes have no more than a little more.
    Limit(NodeId, Limit),
    /// Raises the limits again, and starts a node that died of them: the undo of `Limit`.
    Unlimit(NodeId),
    /// The power fails: SIGKILL, and what was not synced is lost but for what the seed lets through.
    LosePower(NodeId, u64),
    /// Gives the node's disk a trouble, in place of the one that it may have.
    FailDisk(NodeId, Trouble),
    /// Takes the trouble from the node's disk: the undo of `FailDisk`.
    MendDisk(NodeId),
    /// Copies the files of a node that is down.
    Backup(NodeId),
    /// Does something to the files of a node that is down; the seed decides where.
    Damage(NodeId, Damage, u64),
    /// Asks the leader to leave a node out of the members.
    Remove(NodeId),
    /// Asks the leader to make a node a member: the undo of `Remove`.
    Add(NodeId),
    /// Asks the leader to let a node lead.
    Transfer(NodeId),
}

impl Act {
    /// The act that puts right what this one does; `None` for those that themselves put right.
    pub fn undo(self) -> Option<Act> {
        match self {
            Act::Kill(node) | Act::Terminate(node) | Act::LosePower(node, _) => Some(Act::Start(node)),
            Act::Pause(node) => Some(Act::Resume(node)),
            Act::Cut(from, to, _) => Some(Act::Heal(from, to)),
            Act::Degrade(from, to, _) => Some(Act::Restore(from, to)),
            Act::Skew(node, _) => Some(Act::Unskew(node)),
            Act::Starve(node, _) => Some(Act::Feed(node)),
            Act::Limit(node, _) => Some(Act::Unlimit(node)),
            Act::FailDisk(node, _) => Some(Act::MendDisk(node)),
            Act::MendDisk(_) | Act::Backup(_) | Act::Damage(..) => None,
            Act::Start(_) | Act::Resume(_) | Act::Heal(..) | Act::Restore(..) => None,
            Act::Unskew(_) | Act::Feed(_) | Act::Unlimit(_) => None,
            Act::Remove(node) => Some(Act::Add(node)),
            Act::Add(_) | Act::Transfer(_) => None,
        }
    }

    /// The node whose process the act stops, if it stops one.
    pub fn stops(self) -> Option<NodeId> {
        match self {
            Act::Kill(node) | Act::Terminate(node) | Act::Pause(node) | Act::LosePower(node, _) => Some(node),
            _ => None,
        }
    }

    /// The node whose process the act ends, if it ends one.
    pub(crate) fn downs(self) -> Option<NodeId> {
        match self {
            Act::Kill(node) | Act::Terminate(node) | Act::LosePower(node, _) => Some(node),
            _ => None,
        }
    }

    /// The node whose disk the act is done to, if it is; what becomes of it is counted there.
    pub fn disk(self) -> Option<NodeId> {
        match self {
            Act::LosePower(node, _) | Act::FailDisk(node, _) | Act::MendDisk(node) => Some(node),
            Act::Backup(node) | Act::Damage(node, ..) => Some(node),
            _ => None,
        }
    }

    /// The node that the act asks the leader about, if that is what it does.
    pub fn asks_about(self) -> Option<NodeId> {
        match self {
            Act::Remove(node) | Act::Add(node) | Act::Transfer(node) => Some(node),
            _ => None,
        }
    }

    /// Whether the act is done for good: there is nothing to undo and nothing that it puts right.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Act::Backup(_) | Act::Damage(..) | Act::Transfer(_))
    }

    /// The node whose process the act hurts without stopping it, if it does: what has to be done again to a process that
    /// takes the place of the one it was done to.
    pub(crate) fn marks(self) -> Option<NodeId> {
        match self {
            Act::Skew(node, _) | Act::Starve(node, _) | Act::Limit(node, _) => Some(node),
            _ => None,
        }
    }

    /// The node whose process must be there for the act to be done, if one must.
    pub(crate) fn needs_up(self) -> Option<NodeId> {
        match self {
            Act::Pause(node) => Some(node),
            _ => self.marks(),
        }
    }

    /// How it hurts a process without stopping it, in the words of its text.
    pub(crate) fn how(self) -> Option<String> {
        match self {
            Act::Skew(_, skew) => Some(skew.to_string()),
            Act::Starve(_, percent) => Some(format!("cpu_percent={percent}")),
            Act::Limit(_, limit) => Some(limit.to_string()),
            _ => None,
        }
    }

    /// The node whose process or disk the act is done to; `None` for acts on links.
    pub(crate) fn process(self) -> Option<NodeId> {
        match self {
            Act::Kill(node) | Act::Terminate(node) | Act::Start(node) => Some(node),
            Act::Pause(node) | Act::Resume(node) => Some(node),
            Act::Skew(node, _) | Act::Starve(node, _) | Act::Limit(node, _) => Some(node),
            Act::Unskew(node) | Act::Feed(node) | Act::Unlimit(node) => Some(node),
            Act::LosePower(..) | Act::FailDisk(..) | Act::MendDisk(_) => self.disk(),
            Act::Backup(_) | Act::Damage(..) => self.disk(),
            Act::Remove(_) | Act::Add(_) | Act::Transfer(_) => self.asks_about(),
            Act::Cut(..) | Act::Heal(..) | Act::Degrade(..) | Act::Restore(..) => None,
        }
    }

    /// The directed link that the act cuts, if it cuts one.
    pub fn cuts(self) -> Option<(NodeId, NodeId)> {
        match self {
            Act::Cut(from, to, _) => Some((from, to)),
            _ => None,
        }
    }

    /// The directed link that the act makes bad, if it does, and how bad.
    pub fn degrades(self) -> Option<(NodeId, NodeId, Quality)> {
        match self {
            Act::Degrade(from, to, quality) => Some((from, to, quality)),
            _ => None,
        }
    }

    /// The same act on other nodes.
    pub(crate) fn map(self, rename: impl Fn(NodeId) -> NodeId) -> Act {
        match self {
            Act::Kill(node) => Act::Kill(rename(node)),
            Act::Terminate(node) => Act::Terminate(rename(node)),
            Act::Start(node) => Act::Start(rename(node)),
            Act::Pause(node) => Act::Pause(rename(node)),
            Act::Resume(node) => Act::Resume(rename(node)),
            Act::Cut(from, to, mode) => Act::Cut(rename(from), rename(to), mode),
            Act::Heal(from, to) => Act::Heal(rename(from), rename(to)),
            Act::Degrade(from, to, quality) => Act::Degrade(rename(from), rename(to), quality),
            Act::Restore(from, to) => Act::Restore(rename(from), rename(to)),
            Act::Skew(node, skew) => Act::Skew(rename(node), skew),
            Act::Unskew(node) => Act::Unskew(rename(node)),
            Act::Starve(node, percent) => Act::Starve(rename(node), percent),
            Act::Feed(node) => Act::Feed(rename(node)),
            Act::Limit(node, limit) => Act::Limit(rename(node), limit),
            Act::Unlimit(node) => Act::Unlimit(rename(node)),
            Act::LosePower(node, seed) => Act::LosePower(rename(node), seed),
            Act::FailDisk(node, trouble) => Act::FailDisk(rename(node), trouble),
            Act::MendDisk(node) => Act::MendDisk(rename(node)),
            Act::Backup(node) => Act::Backup(rename(node)),
            Act::Damage(node, damage, seed) => Act::Damage(rename(node), damage, seed),
            Act::Remove(node) => Act::Remove(rename(node)),
            Act::Add(node) => Act::Add(rename(node)),
            Act::Transfer(node) => Act::Transfer(rename(node)),
        }
    }

    /// Whether it is done to a link between a node and its clients.
    pub(crate) fn names_clients(self) -> bool {
        self.nodes().any(|end| end == NodeId::CLIENTS)
    }

    /// The nodes that the act names, or the ends of its link.
    pub(crate) fn nodes(self) -> impl Iterator<Item = NodeId> {
        let (node, other) = match self {
            Act::Kill(node) | Act::Terminate(node) | Act::Start(node) => (node, None),
            Act::Pause(node) | Act::Resume(node) => (node, None),
            Act::Skew(node, _) | Act::Starve(node, _) | Act::Limit(node, _) => (node, None),
            Act::Unskew(node) | Act::Feed(node) | Act::Unlimit(node) => (node, None),
            Act::LosePower(node, _) | Act::FailDisk(node, _) | Act::MendDisk(node) => (node, None),
            Act::Backup(node) | Act::Damage(node, ..) => (node, None),
            Act::Remove(node) | Act::Add(node) | Act::Transfer(node) => (node, None),
            Act::Cut(from, to, _) | Act::Heal(from, to) => (from, Some(to)),
            Act::Degrade(from, to, _) | Act::Restore(from, to) => (from, Some(to)),
        };
        std::iter::once(node).chain(other)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Kill(node) => write!(f, "kill {node}"),
            Act::Terminate(node) => write!(f, "terminate {node}"),
            Act::Start(node) => write!(f, "start {node}"),
            Act::Pause(node) => write!(f, "pause {node}"),
            Act::Resume(node) => write!(f, "resume {node}"),
            Act::Cut(from, to, CutMode::Stall) => write!(f, "cut {from}>{to} stall"),
            Act::Cut(from, to, CutMode::Reset) => write!(f, "cut {from}>{to} reset"),
            Act::Heal(from, to) => write!(f, "heal {from}>{to}"),
            Act::Degrade(from, to, quality) => write!(f, "degrade {from}>{to} {quality}"),
            Act::Restore(from, to) => write!(f, "restore {from}>{to}"),
            Act::Skew(node, skew) => write!(f, "skew {node} {skew}"),
            Act::Unskew(node) => write!(f, "unskew {node}"),
            Act::Starve(node, percent) => write!(f, "starve {node} cpu_percent={percent}"),
            Act::Feed(node) => write!(f, "feed {node}"),
            Act::Limit(node, limit) => write!(f, "limit {node} {limit}"),
            Act::Unlimit(node) => write!(f, "unlimit {node}"),
            Act::LosePower(node, seed) => write!(f, "lose-power {node} seed={seed}"),
            Act::FailDisk(node, trouble) => write!(f, "fail-disk {node} {trouble}"),
            Act::MendDisk(node) => write!(f, "mend-disk {node}"),
            Act::Backup(node) => write!(f, "backup {node}"),
            Act::Remove(node) => write!(f, "remove {node}"),
            Act::Add(node) => write!(f, "add {node}"),
            Act::Transfer(node) => write!(f, "transfer {node}"),
            Act::Damage(node, damage, seed) => write!(f, "damage {node} {} seed={seed}", damage.name()),
        }
    }
}

/// An act and when it is done, in milliseconds after its fault began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TimedAct {
    /// Milliseconds after the fault began.
    pub after_ms: u64,
    /// What is done.
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
    /// Something else where a node should be.
    #[error(transparent)]
    Node(#[from] ParseNodeError),
    /// Not the form of any act.
    #[error("{0:?} is not an act: acts are kill n1, start n1, cut n1>n2 stall, @500 heal n1>n2 and the like")]
    Form(String),
    /// A link that would be no worse than before, or worse in no known way.
    #[error(
        "{0:?} degrades nothing: expected properties such as delay_ms=50 or write_max=3, each more than 0"
    )]
    Quality(String),
}

impl FromStr for TimedAct {
    type Err = ParseActError;

    fn from_str(text: &str) -> Result<TimedAct, ParseActError> {
        let wrong = || ParseActError::Form(text.to_owned());
        let link = |link: &str| -> Result<(NodeId, NodeId), ParseActError> {
            let (from, to) = link.split_once('>').ok_or_else(wrong)?;
            let (from, to) = (NodeId::parse_end(from)?, NodeId::parse_end(to)?);
            if from == to { Err(wrong()) } else { Ok((from, to)) }
        };
        let seed =
            |word: &str| word.strip_prefix("seed=").and_then(|seed| seed.parse().ok()).ok_or_else(wrong);
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let mut after_ms = 0;
        if let Some(time) = words.first().and_then(|word| word.strip_prefix('@')) {
            after_ms = time.parse().map_err(|_| wrong())?;
            words.remove(0);
        }
        let act = match words[..] {
            ["kill", node] => Act::Kill(node.parse()?),
            ["terminate", node] => Act::Terminate(node.parse()?),
            ["start", node] => Act::Start(node.parse()?),
            ["pause", node] => Act::Pause(node.parse()?),
            ["resume", node] => Act::Resume(node.parse()?),
            ["cut", ends, "stall"] => link(ends).map(|(from, to)| Act::Cut(from, to, CutMode::Stall))?,
            ["cut", ends, "reset"] => link(ends).map(|(from, to)| Act::Cut(from, to, CutMode::Reset))?,
            ["degrade", ends, ref properties @ ..] => {
                let degrades_nothing = || ParseActError::Quality(text.to_owned());
                let quality = Quality::parse(properties).ok_or_else(degrades_nothing)?;
                link(ends).map(|(from, to)| Act::Degrade(from, to, quality))?
            }
            ["restore", ends] => link(ends).map(|(from, to)| Act::Restore(from, to))?,
            ["skew", node, ref properties @ ..] => {
                Act::Skew(node.parse()?, Skew::parse(properties).ok_or_else(wrong)?)
            }
            ["unskew", node] => Act::Unskew(node.parse()?),
            ["starve", node, share] => {
                let percent = share.strip_prefix("cpu_percent=").and_then(|percent| percent.parse().ok());
                let percent = percent.filter(|percent| (1..100).contains(percent)).ok_or_else(wrong)?;
                Act::Starve(node.parse()?, percent)
            }
            ["feed", node] => Act::Feed(node.parse()?),
            ["limit", node, limit] => Act::Limit(node.parse()?, Limit::parse(limit).ok_or_else(wrong)?),
            ["unlimit", node] => Act::Unlimit(node.parse()?),
            ["lose-power", node, word] => Act::LosePower(node.parse()?, seed(word)?),
            ["fail-disk", node, trouble] => {
                Act::FailDisk(node.parse()?, trouble.parse().map_err(|()| wrong())?)
            }
            ["mend-disk", node] => Act::MendDisk(node.parse()?),
            ["backup", node] => Act::Backup(node.parse()?),
            ["remove", node] => Act::Remove(node.parse()?),
            ["add", node] => Act::Add(node.parse()?),
            ["transfer", node] => Act::Transfer(node.parse()?),
            ["damage", node, name, word] => {
                let damage = Damage::ALL.into_iter().find(|damage| damage.name() == name);
                Act::Damage(node.parse()?, damage.ok_or_else(wrong)?, seed(word)?)
            }
            ["heal", ends] => link(ends).map(|(from, to)| Act::Heal(from, to))?,
            _ => return Err(wrong()),
        };
        Ok(TimedAct { after_ms, act })
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
    fn acts_read_back_and_lead_to_their_undo() {
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
