//! What the benchmarks share: options, which rows are wanted, and that nothing is measured before it was seen to be whole.

use std::fmt::Debug;
use std::path::PathBuf;

use clap::Args;

use super::Result;
use super::rows::Row;
use super::tools::Sample;

#[derive(Debug, Args)]
pub(super) struct Common {
    /// How often each tool is measured, in turn with the others, after one run of each that warms up and is checked
    #[arg(long, default_value_t = 5)]
    pub(super) rounds: usize,
    /// Only rows with this in the name of a tool; may be given several times. The peer against itself is always there
    #[arg(long)]
    only: Vec<String>,
    /// Where every single measurement goes
    #[arg(long)]
    pub(super) json: Option<PathBuf>,
    /// Where the outputs lie meanwhile
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
}

/// Ours, the peer, and how much of the peer's time ours may take at most, where that is promised.
pub(super) type Line<W> = (W, W, Option<f64>);

impl Common {
    /// Whether a row whose tools are called so was asked for.
    pub(super) fn wants(&self, names: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| names.contains(only.as_str()))
    }

    /// Those of `rows` that were asked for, and whose peer `is_there`. Tools are called as the code has them.
    pub(super) fn wanted<W: Copy + PartialEq + Debug>(&self, rows: &[Line<W>], is_there: impl Fn(W) -> bool) -> Vec<Line<W>> {
        let is_wanted =
            |(ours, peer, _): &&Line<W>| ours == peer || self.wants(&format!("{ours:?} {peer:?}")) && is_there(*peer);
        rows.iter().filter(is_wanted).copied().collect()
    }

    /// A folder for outputs, gone in the end.
    pub(super) fn folder(&self) -> Result<tempfile::TempDir> {
        std::fs::create_dir_all(&self.work)?;
        Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(&self.work)?)
    }

    /// Measures the pairs of each row, once each way was seen to do the work.
    pub(super) fn measure<W: Work>(&self, work: &W, rows: Vec<Line<W::Way>>) -> Result<Vec<Row>> {
        // Warms up what is read, and is what says that a figure counts at all.
        let mut checked = Vec::new();
        for way in rows.iter().flat_map(|(ours, peer, _)| [*ours, *peer]) {
            if !checked.contains(&way) {
                let sample = work.run(way)?;
                eprintln!("{way:?}: {sample}; is it whole?");
                work.check(way).map_err(|error| format!("{way:?}: {error}: no figure counts"))?;
                work.tidy(way)?;
                checked.push(way);
            }
        }
        let row = |(ours, peer, most): Line<W::Way>| {
            Row::measure([work.name(ours), work.name(peer)], most, self.rounds, |side| {
                let way = [ours, peer][side];
                let sample = work.run(way)?;
                work.tidy(way)?;
                Ok(sample)
            })
        };
        rows.into_iter().map(row).collect()
    }
}

/// A piece of work that can be done in several ways.
pub(super) trait Work {
    /// One of them.
    type Way: Copy + PartialEq + Debug;

    /// For the table.
    fn name(&self, way: Self::Way) -> &'static str;
    /// Does it once.
    fn run(&self, way: Self::Way) -> Result<Sample>;
    /// Fails unless what it left is what the source holds.
    fn check(&self, way: Self::Way) -> Result<()>;
    /// Removes what it left.
    fn tidy(&self, way: Self::Way) -> Result<()>;
}
