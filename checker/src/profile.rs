//! The size of the frontier along a history, in a few hundred points for any length.
//!
//! The events are divided into stretches of equal length. For each stretch the largest size is kept, with its
//! event. When there are too many stretches, every two of them are merged. So the peaks always stay; only the
//! exact positions of small frontiers are lost.

/// The maximum number of points.
pub(crate) const POINTS_MAX: usize = 200;

/// The size of a frontier along the events of a part.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// The number of events in a stretch.
    stride: u32,
    /// For each stretch the event of its largest size, and that size; 0 if no size was noted.
    peaks: Vec<(u32, usize)>,
}

impl Profile {
    /// An empty profile.
    pub(crate) fn new() -> Self {
        Profile { stride: 1, peaks: Vec::new() }
    }

    /// Notes the size after an event. An earlier, larger size in the same stretch remains, perhaps that of a
    /// narrower attempt.
    pub(crate) fn note(&mut self, event: u32, size: usize) {
        while (event / self.stride) as usize >= POINTS_MAX {
            self.stride *= 2;
            self.peaks = self.peaks.chunks(2).map(|pair| larger(pair[0], pair[pair.len() - 1])).collect();
        }
        let at = (event / self.stride) as usize;
        if at >= self.peaks.len() {
            self.peaks.resize(at + 1, (0, 0));
        }
        self.peaks[at] = larger(self.peaks[at], (event, size));
    }

    /// The peaks in order: events with the sizes at them.
    pub(crate) fn peaks(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.peaks.iter().copied().filter(|(_, size)| *size > 0)
    }
}

/// The larger of two points; the earlier one if the sizes are equal.
fn larger(a: (u32, usize), b: (u32, usize)) -> (u32, usize) {
    if b.1 > a.1 { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_stay_however_long_the_history() {
        let mut profile = Profile::new();
        for event in 0..1_000_000 {
            profile.note(event, if event == 777_777 { 5_000 } else { 1 + event as usize % 3 });
        }
        let peaks: Vec<_> = profile.peaks().collect();
        assert!(peaks.len() <= POINTS_MAX && peaks.len() > POINTS_MAX / 2, "{}", peaks.len());
        assert!(peaks.contains(&(777_777, 5_000)));
        assert!(peaks.is_sorted_by_key(|(event, _)| *event));
    }

    #[test]
    fn a_second_attempt_adds_to_the_first() {
        let mut profile = Profile::new();
        for (event, size) in [(0, 3), (1, 8), (0, 5), (1, 2)] {
            profile.note(event, size);
        }
        assert_eq!(profile.peaks().collect::<Vec<_>>(), [(0, 5), (1, 8)]);
    }
}
