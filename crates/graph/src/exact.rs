//! Exact answers: small collections, the tail behind a graph, and ground truth.
//!
//! One query streams through the rows, or through their codes, and then measures all that these
//! cannot rule out. Many are answered by tiles of a matrix product, and each answer is checked
//! against the rounding of the product. So all ways give the same answers.

use rayon::prelude::*;

use crate::candidate::Candidate;
use crate::coded::ByCodes;
use crate::graph::check_search;
use crate::nearest::Nearest;
use crate::panel::{Panel, Tile, centre};
use crate::scan;
use crate::search::ByValues;
use crate::space::{Query, Space};
use crate::stored::StoredVectors;
use crate::{Error, Metric, Neighbor, Vectors, Workers};

/// The most queries of a tile.
const STRIPE_QUERIES: usize = 128;

/// Fewer queries do not pay for copying all rows into tiles.
const MIN_STRIPE_QUERIES: usize = 4;

/// Rows of a tile.
const TILE_ROWS: usize = 512;

/// Neighbors that are kept beyond `k`, so that the rounding of a product loses none.
const SPARE: usize = 22;

/// So many rows for each that is wanted are looked at by their codes first: most of them need no
/// second look.
const MIN_CODED_SHARE: usize = 8;

/// A version of a growing table of rows that answers by looking at all of them.
#[derive(Clone, Debug)]
pub struct Flat {
    space: Space,
}

impl Flat {
    /// An empty table.
    ///
    /// # Errors
    /// [`Error::DimOutOfRange`].
    pub fn new(metric: Metric, dim: usize) -> Result<Self, Error> {
        let space = Space::new(metric, Vectors::new(dim)?)?;
        Ok(Self { space: space.small_blocks() })
    }

    /// A table of these rows.
    ///
    /// # Errors
    /// [`Error::ZeroVector`].
    pub fn from_vectors(metric: Metric, vectors: Vectors) -> Result<Self, Error> {
        Ok(Self { space: Space::new(metric, vectors)?.small_blocks() })
    }

    /// The rows of a graph, which it shares.
    pub(crate) fn of(space: Space) -> Self {
        Self { space }
    }

    /// Appends rows to this version; clones taken before do not change. On an error nothing is
    /// appended.
    ///
    /// # Errors
    /// [`Error::DimMismatch`], [`Error::ZeroVector`].
    pub fn append(&mut self, vectors: &Vectors) -> Result<(), Error> {
        self.space.append(vectors)
    }

    /// The same rows where they are kept elsewhere, from row `first` of `rows` on, and all that
    /// follow them there. Nothing is copied but their codes.
    ///
    /// # Errors
    /// [`Error::DimMismatch`], [`Error::ZeroVector`].
    ///
    /// # Panics
    /// When there are fewer rows than here.
    pub fn moved_to(&self, rows: &StoredVectors, first: usize) -> Result<Self, Error> {
        if rows.dim() != self.space.dim() {
            return Err(Error::DimMismatch { expected: self.space.dim(), given: rows.dim() });
        }
        Ok(Self { space: self.space.moved_to(rows.from(first))? })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.space.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row, as it was given.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn vector(&self, row: u32) -> &[f32] {
        self.space.row(row)
    }

    /// Bytes of the rows.
    pub fn bytes(&self) -> usize {
        self.space.bytes()
    }

    /// The `k` nearest rows, nearest first, ties by row; fewer only when there are fewer.
    ///
    /// # Errors
    /// [`Error::DimMismatch`], [`Error::UnfitValue`], [`Error::ZeroVector`],
    /// [`Error::InvalidParameter`] for `k`.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<Neighbor>, Error> {
        check_search(k, k)?;
        let query = self.space.query(query)?;
        let among = Among::All(self.len());
        Ok(self.named(among, &self.nearest(&query, (k, None), among)))
    }

    /// The `k` nearest of some rows, nearest first, ties in the order of `rows`; fewer only when
    /// there are fewer. Nothing is computed for other rows.
    ///
    /// # Errors
    /// As [`Self::search`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn search_among(
        &self,
        query: &[f32],
        k: usize,
        rows: &[u32],
    ) -> Result<Vec<Neighbor>, Error> {
        check_search(k, k)?;
        let query = self.space.query(query)?;
        Ok(self.named(Among::Some(rows), &self.nearest(&query, (k, None), Among::Some(rows))))
    }

    /// [`Self::search_among`] for who knows of `k` others at most `max_distance` away: rows that
    /// are farther away may be missing. Few rows are measured then.
    ///
    /// # Errors
    /// As [`Self::search`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn search_among_within(
        &self,
        query: &[f32],
        (k, max_distance): (usize, f32),
        rows: &[u32],
    ) -> Result<Vec<Neighbor>, Error> {
        check_search(k, k)?;
        let query = self.space.query(query)?;
        let max_distance = Some(self.space.metric().computed(max_distance));
        let found = self.nearest(&query, (k, max_distance), Among::Some(rows));
        Ok(self.named(Among::Some(rows), &found))
    }

    /// [`Self::search`] for each row of `queries`, on all threads of `workers`.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_many(
        &self,
        queries: &Vectors,
        k: usize,
        workers: &Workers,
    ) -> Result<Vec<Vec<Neighbor>>, Error> {
        self.search_many_of(queries, k, Among::All(self.len()), workers)
    }

    /// [`Self::search_among`] for each row of `queries`, on all threads of `workers`.
    ///
    /// # Errors
    /// As [`Self::search`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn search_many_among(
        &self,
        queries: &Vectors,
        k: usize,
        rows: &[u32],
        workers: &Workers,
    ) -> Result<Vec<Vec<Neighbor>>, Error> {
        self.search_many_of(queries, k, Among::Some(rows), workers)
    }

    fn search_many_of(
        &self,
        queries: &Vectors,
        k: usize,
        among: Among<'_>,
        workers: &Workers,
    ) -> Result<Vec<Vec<Neighbor>>, Error> {
        check_search(k, k)?;
        let query = |row| self.space.query(queries.row(row)).map_err(|error| at_row(error, row));
        let queries: Vec<Query<'_>> = (0..queries.len()).map(query).collect::<Result<_, _>>()?;
        if queries.len() < MIN_STRIPE_QUERIES {
            let answer = |query| self.named(among, &self.nearest(query, (k, None), among));
            return workers.run(|| Ok(queries.par_iter().map(answer).collect()));
        }
        workers.run(|| {
            let stripe = queries.len().div_ceil(rayon::current_num_threads());
            let stripes = queries.par_chunks(stripe.clamp(MIN_STRIPE_QUERIES, STRIPE_QUERIES));
            Ok(stripes.flat_map_iter(|queries| self.nearest_of_stripe(queries, k, among)).collect())
        })
    }

    /// The rows at most `max_distance` away, in the order of `rows`, which stands for all of them
    /// when it is missing. The distance that decides is the one that [`Self::search`] reports.
    ///
    /// # Errors
    /// [`Error::DimMismatch`], [`Error::UnfitValue`], [`Error::ZeroVector`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn within(
        &self,
        query: &[f32],
        max_distance: f32,
        rows: Option<&[u32]>,
    ) -> Result<Vec<Neighbor>, Error> {
        let query = self.space.query(query)?;
        let among = rows.map_or(Among::All(self.len()), Among::Some);
        let nodes = (0..among.len() as u32).map(|place| among.node(place));
        let mut found = Vec::new();
        let target = ByValues { space: &self.space, query };
        scan::each(&target, nodes, |node, distance| {
            let distance = self.space.metric().reported(distance);
            if distance <= max_distance {
                found.push(Neighbor { node, distance });
            }
        });
        Ok(found)
    }

    /// The answers to some queries by tiles of a matrix product. Rounding may swap neighbors, so
    /// a few more than `k` are kept and measured again; a query that could still have lost one
    /// is answered alone. Candidates are called by their places among the rows.
    fn nearest_of_stripe(
        &self,
        queries: &[Query<'_>],
        k: usize,
        among: Among<'_>,
    ) -> Vec<Vec<Neighbor>> {
        let (space, k) = (&self.space, k.min(among.len()));
        let rows = 0..among.len() as u32;
        let centre = centre(space, rows.clone().map(|place| among.node(place)));
        let (mut left, mut right, mut tile) = (Panel::default(), Panel::default(), Tile::default());
        let mut lists = Nearest::new(space.kernels(), queries.len(), k + SPARE);
        left.restart(space, queries.len());
        for query in queries {
            left.push(space, query.vector(), query.scale(), &centre);
        }
        let mut max_square = 0.0_f32;
        for first in rows.clone().step_by(TILE_ROWS) {
            let places = first..(first + TILE_ROWS as u32).min(rows.end);
            right.fill(space, places.map(|place| among.node(place)), &centre);
            max_square = max_square.max(right.max_square());
            tile.compute((&left, 0..left.len()), (&right, 0..right.len()));
            tile.offer_to_rows(&mut lists, 0, first);
        }
        let answer = |(row, query): (usize, &Query<'_>)| {
            let near = lists.sorted(row);
            let is_all = near.len() == among.len();
            let least =
                near.last().map_or(0.0, |last| left.least(row, max_square, last.distance()));
            let mut near = self.measured(query, near, among);
            near.truncate(k);
            let is_exact = is_all || near.last().is_none_or(|last| last.distance() < least);
            let near = if is_exact { near } else { self.nearest(query, (k, None), among) };
            self.named(among, &near)
        };
        queries.iter().enumerate().map(answer).collect()
    }

    /// Candidates with distances that were not computed by products, nearest first.
    fn measured(&self, query: &Query<'_>, near: &[Candidate], among: Among<'_>) -> Vec<Candidate> {
        let nodes: Vec<u32> = near.iter().map(|near| among.node(near.node())).collect();
        let mut distances = vec![0.0; nodes.len()];
        self.space.distances(query, &nodes, &mut distances);
        let pairs = near.iter().zip(distances);
        let mut near: Vec<_> =
            pairs.map(|(near, distance)| Candidate::new(distance, near.node())).collect();
        near.sort_unstable();
        near
    }

    /// The nearest `k`; those farther away than a distance may be missing.
    fn nearest(
        &self,
        query: &Query<'_>,
        (k, max_distance): (usize, Option<f32>),
        among: Among<'_>,
    ) -> Vec<Candidate> {
        let nodes = (0..among.len() as u32).map(|place| among.node(place));
        let keep = k.min(among.len()).max(1);
        if max_distance.is_some() || among.len() >= MIN_CODED_SHARE * keep {
            let mut code = Vec::new();
            if let Some(by_codes) = ByCodes::of_query(&self.space, *query, &mut code) {
                let (node, wanted) = (|place| among.node(place), (keep, max_distance));
                return by_codes.nearest_of_all(among.len() as u32, node, wanted);
            }
        }
        scan::nearest(&self.space, query, nodes, keep)
    }

    /// Candidates by their rows instead of their places.
    fn named(&self, among: Among<'_>, near: &[Candidate]) -> Vec<Neighbor> {
        let mut near = reported(self.space.metric(), near);
        for neighbor in &mut near {
            neighbor.node = among.node(neighbor.node);
        }
        near
    }
}

/// The rows that an answer is made of.
#[derive(Clone, Copy, Debug)]
enum Among<'a> {
    /// The first so many.
    All(usize),
    Some(&'a [u32]),
}

impl Among<'_> {
    fn len(self) -> usize {
        match self {
            Self::All(len) => len,
            Self::Some(rows) => rows.len(),
        }
    }

    #[inline]
    fn node(self, place: u32) -> u32 {
        match self {
            Self::All(_) => place,
            Self::Some(rows) => rows[place as usize],
        }
    }
}

/// An error of one query, with its row in the table of queries.
pub(crate) fn at_row(error: Error, row: usize) -> Error {
    match error {
        Error::UnfitValue { column, value, .. } => Error::UnfitValue { row, column, value },
        Error::ZeroVector { .. } => Error::ZeroVector { row },
        other => other,
    }
}

pub(crate) fn reported(metric: Metric, found: &[Candidate]) -> Vec<Neighbor> {
    let neighbor = |candidate: &Candidate| Neighbor {
        node: candidate.node(),
        distance: metric.reported(candidate.distance()),
    };
    found.iter().map(neighbor).collect()
}
