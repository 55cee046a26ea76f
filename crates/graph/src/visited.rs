//! Which nodes a search has seen: a stamp for each node, and a new stamp for each search, so
//! that nothing is cleared between searches.

/// The set of nodes seen by the current search.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    stamps: Vec<u16>,
    current: u16,
}

impl Visited {
    /// Empties the set and makes room for `nodes` nodes.
    pub(crate) fn restart(&mut self, nodes: usize) {
        if self.stamps.len() < nodes {
            self.stamps.resize(nodes, 0);
        }
        if self.current == u16::MAX {
            self.stamps.fill(0);
            self.current = 0;
        }
        self.current += 1;
    }

    /// Adds a node; whether it was not in the set before.
    #[inline]
    pub(crate) fn insert(&mut self, node: u32) -> bool {
        let stamp = &mut self.stamps[node as usize];
        let is_new = *stamp != self.current;
        *stamp = self.current;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::Visited;

    #[test]
    fn restart_empties_even_when_the_stamps_run_out() {
        let mut visited = Visited::default();
        for _ in 0..70_000 {
            visited.restart(3);
            assert!(visited.insert(2));
            assert!(!visited.insert(2));
        }
    }
}
