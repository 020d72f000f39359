//! Links between network namespaces, cut by the kernel's packet filter: no proxy, real packets.
//!
//! ```text
//!   namespace of n1            the hub: this process's own          namespace of n2
//!   eth0 10.77.0.1 ════════▶ n1  forward:  dropped? refused? ════▶ n2   eth0 10.77.0.2
//!                                          degraded? ─▶ [queue]
//! ```
//!
//! One table of nftables in the hub holds a rule for each treatment of packets, and a set of directed links,
//! pairs of source and destination address, to which the rule applies. Cutting a link means adding its pair
//! to a set: one transaction, under a millisecond. The kernel counts dropped packets for each link.
//!
//! CAVEATS. Direction follows *packets*. With n1→n2 cut, what n2 sends still arrives at n1, but n1's
//! acknowledgements do not arrive at n2, so a connection soon stalls in both directions. TCP sends dropped
//! packets again, later and later (after 0.2 s, 0.4 s, 0.8 s, ...): a healed link may stay silent for as long
//! as it was cut.

mod netem;
mod nft;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write},
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard},
};

use crate::{
    CutMode, LinkCounters, NodeId, Quality, TimedAct,
    links::{Link, LinkChange},
    lock::locked,
};
use netem::Netem;
use nft::Nft;

/// Why the packet filter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The program `nft` is missing, or reading from it or writing to it failed.
    #[error("cannot run nft (Debian package nftables): {0}")]
    Missing(std::io::Error),
    /// The proxy cannot listen.
    #[error("cannot listen: {0}")]
    Listen(std::io::Error),
    /// `nft` refused a command.
    #[error("nft: {0}")]
    Refused(String),
}

/// The packet filter between the nodes.
#[derive(Debug)]
pub(crate) struct Filter {
    addresses: Vec<Ipv4Addr>,
    kernel: Mutex<Kernel>,
    /// The packet queue for degraded links, or why there is none.
    netem: Result<Netem, String>,
}

/// The tables in the kernel, and their contents.
#[derive(Debug)]
struct Kernel {
    nft: Nft,
    cut: BTreeMap<Link, CutMode>,
    degraded: BTreeSet<Link>,
    /// What the kernel has refused so far.
    problems: Vec<String>,
}

impl Filter {
    /// Creates the table in this process's network namespace, which connects the nodes with these addresses.
    pub(crate) fn open(addresses: &[Ipv4Addr]) -> Result<Filter, FilterError> {
        let mut nft = Nft::start()?;
        nft.ask(&table(addresses))?;
        let netem = nft.queue_marked().and_then(|()| Netem::start());
        let kernel = Kernel { nft, cut: BTreeMap::new(), degraded: BTreeSet::new(), problems: Vec::new() };
        Ok(Filter { addresses: addresses.to_vec(), kernel: Mutex::new(kernel), netem })
    }

    /// Whether packets can be queued; if not, why not.
    pub(crate) fn packet_queue(&self) -> Result<(), String> {
        self.netem.as_ref().map(drop).map_err(String::clone)
    }

    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        locked(&self.kernel)
    }

    /// A link as an element of a set.
    fn key(&self, (from, to): Link) -> String {
        format!("{} . {}", self.addresses[from.0], self.addresses[to.0])
    }

    /// The mark of a link's packets, if it is degraded; 0 marks the packets of all other links.
    fn mark(&self, (from, to): Link) -> u32 {
        (from.0 * self.addresses.len() + to.0 + 1) as u32
    }

    /// Changes links, all in one transaction: with many nodes, one transaction costs as much as a hundred
    /// changes.
    ///
    /// # Errors
    /// What the kernel said, now or about an earlier change: what is in force is then unknown.
    pub(crate) fn change(&self, changes: &[(Link, LinkChange)]) -> Result<(), String> {
        let mut kernel = self.kernel();
        let mut batch = Batch::default();
        let mut restored = Vec::new();
        for &(link, change) in changes {
            match change {
                LinkChange::Cut(mode) => self.cut(&mut kernel, &mut batch, link, mode),
                LinkChange::Degrade(Some(quality)) => {
                    self.degrade(&mut kernel, &mut batch, link, quality);
                    restored.retain(|other| *other != link);
                }
                LinkChange::Degrade(None) => {
                    self.restore(&mut kernel, &mut batch, link);
                    restored.push(link);
                }
            }
        }
        kernel.run(&batch);
        if let Ok(netem) = &self.netem {
            // Only after the transaction: the queue must not get packets of a mark that it does not know.
            restored.into_iter().for_each(|link| netem.set(self.mark(link), None));
        }
        kernel.check()
    }

    /// Cuts a link, or opens it.
    fn cut(&self, kernel: &mut Kernel, batch: &mut Batch, link: Link, mode: Option<CutMode>) {
        let was = match mode {
            Some(mode) => kernel.cut.insert(link, mode),
            None => kernel.cut.remove(&link),
        };
        if was == mode {
            return;
        }
        if let Some(was) = was {
            batch.push("delete", set(was), self.key(link));
        }
        if let Some(mode) = mode {
            batch.push("add", set(mode), self.key(link));
        }
    }

    fn degrade(&self, kernel: &mut Kernel, batch: &mut Batch, link: Link, quality: Quality) {
        let Ok(netem) = &self.netem else {
            return; // such a step is skipped because of `cannot`
        };
        netem.set(self.mark(link), Some(quality));
        if kernel.degraded.insert(link) {
            batch.push("add", "degraded", format!("{} : {}", self.key(link), self.mark(link)));
        }
    }

    fn restore(&self, kernel: &mut Kernel, batch: &mut Batch, link: Link) {
        if kernel.degraded.remove(&link) {
            batch.push("delete", "degraded", format!("{} : {}", self.key(link), self.mark(link)));
        }
    }

    /// Opens and restores all links.
    pub(crate) fn heal_all(&self) -> Result<(), String> {
        let changes: Vec<(Link, LinkChange)> = {
            let kernel = self.kernel();
            let cut = kernel.cut.keys().map(|&link| (link, LinkChange::Cut(None)));
            cut.chain(kernel.degraded.iter().map(|&link| (link, LinkChange::Degrade(None)))).collect()
        };
        self.change(&changes)
    }

    pub(crate) fn is_cut(&self, link: Link) -> bool {
        self.kernel().cut.contains_key(&link)
    }

    /// What the kernel and the queue have counted on some links. They do not count what passes.
    pub(crate) fn sum(&self, links: impl IntoIterator<Item = Link>) -> LinkCounters {
        let mut kernel = self.kernel();
        let counted = match kernel.nft.counters() {
            Ok(counted) => counted,
            Err(error) => {
                kernel.problems.push(error.to_string());
                BTreeMap::new()
            }
        };
        let mut sum = LinkCounters::default();
        for link in links {
            if let Ok(netem) = &self.netem {
                sum += netem.counters(self.mark(link));
            }
            let (packets, bytes) = counted.get(&counter(link)).copied().unwrap_or_default();
            sum.packets_dropped += packets;
            sum.bytes_withheld += bytes;
        }
        sum
    }

    /// Why some of these acts cannot be done to packets.
    pub(crate) fn cannot(&self, acts: &[TimedAct]) -> Option<String> {
        acts.iter().find_map(|timed| match timed.act.link()?.1 {
            // A reason that holds on every machine comes first.
            LinkChange::Degrade(Some(quality)) => match (only_of_streams(&quality), &self.netem) {
                (Some(name), _) => {
                    Some(format!("{name} needs a proxy: use --net proxy or --net transparent"))
                }
                (None, Err(why)) => Some(format!("packets cannot be queued here: {why}")),
                (None, Ok(_)) => None,
            },
            LinkChange::Cut(Some(CutMode::Reset)) => {
                let at_once = timed.act.undo().is_some_and(|act| acts.contains(&TimedAct { act, ..*timed }));
                at_once.then(|| "a cut of packets that is healed at once resets no connection".into())
            }
            _ => None,
        })
    }
}

impl Kernel {
    fn run(&mut self, batch: &Batch) {
        if !batch.0.is_empty()
            && let Err(error) = self.nft.ask(&batch.to_string())
        {
            self.problems.push(error.to_string());
        }
    }

    /// Fails if the kernel has refused anything so far.
    fn check(&self) -> Result<(), String> {
        match &self.problems[..] {
            [] => Ok(()),
            problems => Err(problems.join("; ")),
        }
    }
}

/// Changes of sets, in order: the verb, the set, and the elements.
#[derive(Default)]
struct Batch(Vec<(&'static str, &'static str, Vec<String>)>);

impl Batch {
    fn push(&mut self, verb: &'static str, set: &'static str, element: String) {
        match self.0.last_mut() {
            Some(last) if (last.0, last.1) == (verb, set) => last.2.push(element),
            _ => self.0.push((verb, set, vec![element])),
        }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(verb, set, elements)| {
            write!(f, "{verb} element ip tribunal {set} {{ {} }}; ", elements.join(", "))
        })
    }
}

/// A property that packets cannot have, if one is set.
pub(crate) fn only_of_streams(quality: &Quality) -> Option<&'static str> {
    let wanted = [
        ("gap_ms", quality.gap_ms),
        ("write_max", quality.write_max),
        ("reset_after", quality.reset_after),
        ("close_after", quality.close_after),
        ("read_max", quality.read_max),
        // A packet with a flipped bit fails its checksum, so it would be lost.
        ("flip_one_in", quality.flip_one_in),
    ];
    wanted.into_iter().find_map(|(name, value)| value.map(|_| name))
}

/// The set of the links that are cut in this mode.
fn set(mode: CutMode) -> &'static str {
    match mode {
        CutMode::Stall => "dropped",
        CutMode::Reset => "refused",
    }
}

/// The name of a link's counter.
fn counter((from, to): Link) -> String {
    format!("{from}_{to}")
}

/// The table: empty sets, the rules that use them, and a counter for each link.
fn table(addresses: &[Ipv4Addr]) -> String {
    let mut counters = String::new();
    let mut counted = Vec::new();
    for (from, source) in addresses.iter().enumerate() {
        for (to, destination) in addresses.iter().enumerate().filter(|(to, _)| *to != from) {
            let name = counter((NodeId(from), NodeId(to)));
            let _ = write!(counters, "counter {name} {{ }}; ");
            counted.push(format!("{source} . {destination} : \"{name}\""));
        }
    }
    let elements = match counted.is_empty() {
        true => String::new(),
        false => format!("elements = {{ {} }}; ", counted.join(", ")),
    };
    let link = "ip saddr . ip daddr";
    let count = format!("counter name {link} map @counted");
    // On one line, because it is one command.
    format!(
        "table ip tribunal {{ {counters} \
           map counted {{ type ipv4_addr . ipv4_addr : counter; {elements} }}; \
           set dropped {{ type ipv4_addr . ipv4_addr; }}; \
           set refused {{ type ipv4_addr . ipv4_addr; }}; \
           map degraded {{ type ipv4_addr . ipv4_addr : mark; }}; \
           chain links {{ type filter hook forward priority filter - 10; policy accept; \
             {link} @dropped {count} drop; \
             {link} @refused meta l4proto tcp {count} reject with tcp reset; \
             {link} @refused {count} reject; \
             meta mark set {link} map @degraded; \
           }}; \
         }}"
    )
}

/// Redirects every connection between these addresses to a proxy that listens on `port`, and drops all other
/// packets.
pub(crate) fn redirect(addresses: &[Ipv4Addr], port: u16) -> Result<(), FilterError> {
    let nodes = addresses.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(", ");
    Nft::start()?.ask(&format!(
        "table ip tribunal {{ \
           chain turned_aside {{ type nat hook prerouting priority dstnat; policy accept; \
             ip saddr {{ {nodes} }} ip daddr {{ {nodes} }} meta l4proto tcp redirect to :{port}; \
           }}; \
           chain links {{ type filter hook forward priority filter; policy drop; }}; \
         }}"
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_one_set_become_one_command_and_keep_their_order() {
        let mut batch = Batch::default();
        for (verb, set, element) in [
            ("add", "dropped", "a"),
            ("add", "dropped", "b"),
            ("delete", "dropped", "a"),
            ("add", "refused", "a"),
        ] {
            batch.push(verb, set, element.into());
        }
        assert_eq!(
            batch.to_string(),
            "add element ip tribunal dropped { a, b }; delete element ip tribunal dropped { a }; \
             add element ip tribunal refused { a }; "
        );
    }

    #[test]
    fn packets_cannot_have_stream_properties() {
        let quality = |text: &str| Quality::parse(&[text]).expect(text);
        for of_streams in
            ["gap_ms=3", "write_max=3", "reset_after=9", "close_after=9", "read_max=9", "flip_one_in=9"]
        {
            assert!(only_of_streams(&quality(of_streams)).is_some(), "{of_streams}");
        }
        for of_packets in ["delay_ms=3", "bytes_per_s=9", "loss_percent=9"] {
            assert_eq!(only_of_streams(&quality(of_packets)), None);
        }
    }
}
