//! Verbs: what an act does to its target. A verb is a type that implements [`Verb`], in the file of its
//! fault, and a line in the registry (`faults.rs`). Parsing, claims, undo and records use its [`VerbSpec`];
//! none of them knows a verb by name.

use std::future::Future;

use tribunal_records::DiskKind;

use crate::{
    Act, FaultEffect, NodeState, Nodes, Target, faults::AnyVerb, links::LinkChange, processes::LockedNode,
};

/// What an act does.
pub(crate) trait Verb: Copy + Into<AnyVerb> {
    /// The properties of the verb that the rest of the crate needs.
    const SPEC: VerbSpec;

    /// Parses the arguments, the words after the target; `None` if they are invalid.
    fn read(arguments: &[&str]) -> Option<Self>;

    /// The arguments as text; empty if there are none.
    fn arguments(self) -> String {
        String::new()
    }

    /// Applies the verb to a node. Repeating it must be harmless. Verbs of links do nothing here.
    ///
    /// # Errors
    /// Why it may not have been applied, in one line for the reader of the report.
    fn apply<N: Nodes>(self, _: &mut LockedNode<N>) -> impl Future<Output = Result<Applied, String>> + Send {
        async { Ok(Applied::default()) }
    }

    /// The change of a link, for verbs of links.
    fn link_change(self) -> Option<LinkChange> {
        None
    }

    /// The act that applies the verb to this node or link.
    fn on(self, target: impl Into<Target>) -> Act {
        Act { verb: self.into(), target: target.into() }
    }
}

/// Result of applying an act to a node.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The effect, as far as this act can measure it: an undo reports what the undone act has done.
    pub(crate) effect: FaultEffect,
    /// What was hit, if the verb chose it at random.
    pub(crate) touched: Option<String>,
}

impl From<()> for Applied {
    fn from((): ()) -> Applied {
        Applied::default()
    }
}

impl From<FaultEffect> for Applied {
    fn from(effect: FaultEffect) -> Applied {
        Applied { effect, touched: None }
    }
}

/// What kind of thing a verb acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// The processes of a node.
    Process,
    /// The disk of a node.
    Disk,
    /// The membership or leadership of a node, by a request to the leader.
    Membership,
    /// A directed link.
    Link,
}

/// How the effect of a verb is undone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reversal {
    /// By this verb. Until then the act is claimed.
    By(AnyVerb),
    /// The verb is itself an undo.
    IsUndo,
    /// Not at all.
    Never,
}

/// What the driver, the plan and the disks need to know of a verb.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VerbSpec {
    /// Name of the verb in schedules and records.
    pub(crate) name: &'static str,
    /// Error message for an act of this verb that cannot be parsed.
    pub(crate) parse_error: &'static str,
    /// What it acts on.
    pub(crate) domain: Domain,
    /// How it is undone.
    pub(crate) reversal: Reversal,
    /// State of the process afterwards, if the verb stops it.
    pub(crate) stops_as: Option<NodeState>,
    /// It impairs the process without stopping it, and must be repeated on a new process of the node.
    pub(crate) impairs: bool,
    /// It starts a new process.
    pub(crate) starts_process: bool,
    /// Verb to apply afterwards, unless a fault holds the node down.
    pub(crate) followed_by: Option<AnyVerb>,
    /// Why it cannot be applied to this process on this machine. Checked before anything is changed.
    pub(crate) unavailable: fn(Option<i32>) -> Option<String>,
    /// Note for the record on how it will be applied to this process here.
    pub(crate) note: fn(Option<i32>) -> Option<String>,
    /// It damages files permanently.
    pub(crate) damages: bool,
    /// Why it cannot be applied to such a disk, and what to do about it.
    pub(crate) missing_on: fn(DiskKind) -> Option<&'static str>,
    /// Decides whether the fault took effect, if other parts of the effect only come from auxiliary acts.
    pub(crate) evidence: Option<fn(&FaultEffect) -> bool>,
}

/// The usual message for an act that cannot be parsed.
pub(crate) const NOT_AN_ACT: &str =
    "is not an act: acts are kill n1, start n1, cut n1>n2 stall, @500 heal n1>n2 and the like";

impl VerbSpec {
    /// A verb with default properties.
    pub(crate) const fn of(name: &'static str, domain: Domain, reversal: Reversal) -> VerbSpec {
        VerbSpec {
            name,
            parse_error: NOT_AN_ACT,
            domain,
            reversal,
            stops_as: None,
            impairs: false,
            starts_process: false,
            followed_by: None,
            unavailable: |_| None,
            note: |_| None,
            damages: false,
            missing_on: |_| None,
            evidence: None,
        }
    }
}

/// Parses `name=value`.
pub(crate) fn property<T: std::str::FromStr>(word: &str, name: &str) -> Option<T> {
    word.strip_prefix(name)?.strip_prefix('=')?.parse().ok()
}

/// Defines a verb without arguments by what it does to a node, or by the change of a link.
macro_rules! simple_verb {
    ($(#[$doc:meta])* $Verb:ident = $nature:expr; |$node:ident| $done:expr) => {
        $crate::act::verb::simple_verb!($(#[$doc])* $Verb = $nature; {
            async fn apply<N: $crate::Nodes>(
                self,
                $node: &mut $crate::processes::LockedNode<N>,
            ) -> Result<$crate::act::verb::Applied, String> {
                let done: Result<_, String> = $done;
                done.map(Into::into)
            }
        });
    };
    ($(#[$doc:meta])* $Verb:ident = $nature:expr; $change:path) => {
        $crate::act::verb::simple_verb!($(#[$doc])* $Verb = $nature; {
            fn link_change(self) -> Option<$crate::links::LinkChange> {
                Some($change(None))
            }
        });
    };
    ($(#[$doc:meta])* $Verb:ident = $nature:expr; { $($body:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $Verb;

        impl $crate::act::verb::Verb for $Verb {
            const SPEC: VerbSpec = $nature;

            fn read(arguments: &[&str]) -> Option<$Verb> {
                arguments.is_empty().then_some($Verb)
            }

            $($body)*
        }
    };
}
pub(crate) use simple_verb;

/// Defines the registry: an enum of all verbs that dispatches to them.
macro_rules! verbs {
    ($($file:ident::$Verb:ident),* $(,)?) => {
        /// Any verb.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum AnyVerb { $($Verb($file::$Verb)),* }

        $(impl From<$file::$Verb> for AnyVerb {
            fn from(verb: $file::$Verb) -> AnyVerb {
                AnyVerb::$Verb(verb)
            }
        })*

        impl AnyVerb {
            /// Parses a verb from its name and arguments.
            ///
            /// # Errors
            /// The error message of the verb, or that there is no such verb.
            pub(crate) fn read(name: &str, arguments: &[&str]) -> Result<AnyVerb, &'static str> {
                $(if name == $file::$Verb::SPEC.name {
                    return $file::$Verb::read(arguments).map(AnyVerb::$Verb).ok_or($file::$Verb::SPEC.parse_error);
                })*
                Err($crate::act::verb::NOT_AN_ACT)
            }

            pub(crate) fn spec(self) -> &'static VerbSpec {
                match self { $(AnyVerb::$Verb(_) => &const { $file::$Verb::SPEC }),* }
            }

            pub(crate) fn arguments(self) -> String {
                match self { $(AnyVerb::$Verb(verb) => verb.arguments()),* }
            }

            pub(crate) async fn apply<N: Nodes>(self, node: &mut LockedNode<N>) -> Result<Applied, String> {
                match self { $(AnyVerb::$Verb(verb) => verb.apply(node).await),* }
            }

            pub(crate) fn link_change(self) -> Option<LinkChange> {
                match self { $(AnyVerb::$Verb(verb) => verb.link_change()),* }
            }
        }
    };
}
pub(crate) use verbs;
