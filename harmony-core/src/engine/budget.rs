//! How much may happen at once: in all, and for each device (P7).

use std::collections::BTreeMap;

/// Places for concurrent steps.
///
/// A step names budgets such as `switch/tor-1`; each has as many places as the limit for its
/// kind, the part before the `/`. What is not limited has one place, which is right for most
/// devices: a switch takes one configuration session, a BMC one request at a time. A flip holds its
/// switch's session for moments and waits for LACP in between, so that several share a `flip/tor-1`.
#[derive(Debug, Clone)]
pub struct Budgets {
    /// Steps at once, whatever they do, also those that only wait. Most of these follow an installation, and
    /// what they have in common is the boot server's link: each has a limit of its own, half an hour, that
    /// begins when it is let in. 512 images of 1 GB take seven minutes at 10 Gbit/s; those of 3,000 hosts, all
    /// let in at once, would take longer than any of them may. The rest is for connections and processes:
    /// a program may have 1,024 files open where nobody has raised that.
    pub total: usize,
    /// Steps at once per name, by kind.
    pub per_kind: BTreeMap<String, usize>,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { total: 512, per_kind: BTreeMap::from([("flip".to_owned(), 8)]) }
    }
}

impl Budgets {
    /// Steps at once with this name.
    pub(super) fn places(&self, name: &str) -> usize {
        let kind = name.split('/').next().unwrap_or(name);
        self.per_kind.get(kind).copied().unwrap_or(1)
    }
}

/// Which places are taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    total: usize,
    by_name: BTreeMap<String, usize>,
}

impl Taken {
    /// Takes one place of each, or none.
    pub(super) fn take(&mut self, budgets: &Budgets, names: &[String]) -> bool {
        let has_room = |name: &String| self.by_name.get(name).copied().unwrap_or(0) < budgets.places(name);
        if self.total >= budgets.total.max(1) || !names.iter().all(has_room) {
            return false;
        }
        self.total += 1;
        for name in names {
            *self.by_name.entry(name.clone()).or_default() += 1;
        }
        true
    }

    /// Gives them back.
    pub(super) fn give_back(&mut self, names: &[String]) {
        self.total = self.total.saturating_sub(1);
        for name in names {
            if let Some(taken) = self.by_name.get_mut(name) {
                *taken = taken.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_per_device_unless_said_otherwise() {
        let budgets = Budgets { total: 3, per_kind: BTreeMap::from([("switch".to_owned(), 2)]) };
        let (bmc, switch) = (["bmc/a".to_owned()], ["switch/tor".to_owned()]);
        let mut taken = Taken::default();
        assert!(taken.take(&budgets, &bmc));
        assert!(!taken.take(&budgets, &bmc));
        assert!(taken.take(&budgets, &switch));
        assert!(taken.take(&budgets, &switch));
        assert!(!taken.take(&budgets, &[]), "three in all");
        taken.give_back(&bmc);
        assert!(taken.take(&budgets, &bmc));
    }
}
