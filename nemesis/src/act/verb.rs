//! Verbs: what an act does to its target. One is a type with [`Verb`] implemented, in the file of the fault that needs it, and
//! a line in the registry (`faults.rs`). Parsing, claims, undo and records go by its [`Nature`] and know no verb by name.

use std::future::Future;

use crate::{
    Act, FaultEffect, NodeState, Nodes, Target, disks::Make, faults::AnyVerb, links::Change, processes::Held,
};

/// What an act does.
pub(crate) trait Verb: Copy + Into<AnyVerb> {
    /// What everybody else has to know of it.
    const NATURE: Nature;

    /// Reads what stands after the target; `None` if it cannot be.
    fn read(arguments: &[&str]) -> Option<Self>;

    /// The same as text, empty if there is none.
    fn arguments(self) -> String {
        String::new()
    }

    /// Does it to a node. Repeating it must be harmless. A verb of links has nothing to do here.
    ///
    /// # Errors
    /// Why it may not have been done, in one line for the person who reads the report.
    fn apply<N: Nodes>(self, _: &mut Held<N>) -> impl Future<Output = Result<Done, String>> + Send {
        async { Ok(Done::default()) }
    }

    /// What becomes of a link, for a verb of links.
    fn change(self) -> Option<Change> {
        None
    }

    /// The act that does it to this node or link.
    fn on(self, target: impl Into<Target>) -> Act {
        Act { verb: self.into(), target: target.into() }
    }
}

/// What came of an act on a node.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// What an undo finds that was done.
    pub(crate) effect: FaultEffect,
    /// What was hit, where that was left to chance.
    pub(crate) touched: Option<String>,
}

impl From<()> for Done {
    fn from((): ()) -> Done {
        Done::default()
    }
}

impl From<FaultEffect> for Done {
    fn from(effect: FaultEffect) -> Done {
        Done { effect, touched: None }
    }
}

/// What a verb is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// A node's processes.
    Process,
    /// A node's disk.
    Disk,
    /// A node's place in the cluster: the leader is asked.
    Membership,
    /// A directed link.
    Link,
}

/// How what a verb does comes to an end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ends {
    /// By its undo: until then it is claimed.
    By(AnyVerb),
    /// It is itself an undo.
    Undo,
    /// Never: it is done for good.
    Never,
}

/// What the driver, the plan and the disks have to know of a verb.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nature {
    /// Its word in schedules and records.
    pub(crate) name: &'static str,
    /// What is wrong with an act of it that cannot be read.
    pub(crate) misread: &'static str,
    /// What it is done to.
    pub(crate) domain: Domain,
    /// How it ends.
    pub(crate) ends: Ends,
    /// The state in which it leaves the process, if it stops it.
    pub(crate) leaves: Option<NodeState>,
    /// It hurts the process without stopping it, and is done again to one that takes its place.
    pub(crate) hurts: bool,
    /// A new process takes the place of the old one.
    pub(crate) renews: bool,
    /// What is done after it unless a fault holds the node down.
    pub(crate) then: Option<AnyVerb>,
    /// Why it cannot be done to this process on this machine, if it cannot: known before anything is touched.
    pub(crate) forbidden: fn(Option<i32>) -> Option<String>,
    /// What is to be said of how it will be done to this process here.
    pub(crate) remark: fn(Option<i32>) -> Option<String>,
    /// It damages files: the node has to live with it.
    pub(crate) damages: bool,
    /// What is missing for it on such a disk, and what to do about it.
    pub(crate) lacks: fn(&Make) -> Option<&'static str>,
    /// What alone shows that a fault with it did what it is for, where most signs only show what served it.
    pub(crate) proof: Option<fn(&FaultEffect) -> bool>,
}

/// What is wrong with the text of most acts that cannot be read.
pub(crate) const NO_ACT: &str =
    "is not an act: acts are kill n1, start n1, cut n1>n2 stall, @500 heal n1>n2 and the like";

impl Nature {
    /// A verb of this name that does nothing unusual.
    pub(crate) const fn of(name: &'static str, domain: Domain, ends: Ends) -> Nature {
        Nature {
            name,
            misread: NO_ACT,
            domain,
            ends,
            leaves: None,
            hurts: false,
            renews: false,
            then: None,
            forbidden: |_| None,
            remark: |_| None,
            damages: false,
            lacks: |_| None,
            proof: None,
        }
    }
}

/// Reads `name=value`.
pub(crate) fn property<T: std::str::FromStr>(word: &str, name: &str) -> Option<T> {
    word.strip_prefix(name)?.strip_prefix('=')?.parse().ok()
}

/// A verb without arguments, and what it does to a node or what becomes of a link.
macro_rules! plain {
    ($(#[$doc:meta])* $Verb:ident = $nature:expr; |$node:ident| $done:expr) => {
        $crate::act::verb::plain!($(#[$doc])* $Verb = $nature; {
            async fn apply<N: $crate::Nodes>(
                self,
                $node: &mut $crate::processes::Held<N>,
            ) -> Result<$crate::act::verb::Done, String> {
                let done: Result<_, String> = $done;
                done.map(Into::into)
            }
        });
    };
    ($(#[$doc:meta])* $Verb:ident = $nature:expr; $change:path) => {
        $crate::act::verb::plain!($(#[$doc])* $Verb = $nature; {
            fn change(self) -> Option<$crate::links::Change> {
                Some($change(None))
            }
        });
    };
    ($(#[$doc:meta])* $Verb:ident = $nature:expr; { $($body:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $Verb;

        impl $crate::act::verb::Verb for $Verb {
            const NATURE: Nature = $nature;

            fn read(arguments: &[&str]) -> Option<$Verb> {
                arguments.is_empty().then_some($Verb)
            }

            $($body)*
        }
    };
}
pub(crate) use plain;

/// The registry: an enum of all verbs, each of which is dispatched to.
macro_rules! verbs {
    ($($file:ident::$Verb:ident),* $(,)?) => {
        /// Any of the verbs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum AnyVerb { $($Verb($file::$Verb)),* }

        $(impl From<$file::$Verb> for AnyVerb {
            fn from(verb: $file::$Verb) -> AnyVerb {
                AnyVerb::$Verb(verb)
            }
        })*

        impl AnyVerb {
            /// Reads the verb of this name with its arguments; or what is wrong with it.
            pub(crate) fn read(name: &str, arguments: &[&str]) -> Result<AnyVerb, &'static str> {
                $(if name == $file::$Verb::NATURE.name {
                    return $file::$Verb::read(arguments).map(AnyVerb::$Verb).ok_or($file::$Verb::NATURE.misread);
                })*
                Err($crate::act::verb::NO_ACT)
            }

            pub(crate) fn nature(self) -> &'static Nature {
                match self { $(AnyVerb::$Verb(_) => &const { $file::$Verb::NATURE }),* }
            }

            pub(crate) fn arguments(self) -> String {
                match self { $(AnyVerb::$Verb(verb) => verb.arguments()),* }
            }

            pub(crate) async fn apply<N: Nodes>(self, node: &mut Held<N>) -> Result<Done, String> {
                match self { $(AnyVerb::$Verb(verb) => verb.apply(node).await),* }
            }

            pub(crate) fn change(self) -> Option<Change> {
                match self { $(AnyVerb::$Verb(verb) => verb.change()),* }
            }
        }
    };
}
pub(crate) use verbs;
