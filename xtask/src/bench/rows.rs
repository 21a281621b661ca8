//! Pairs in turn, and the table of their ratios.

use serde_json::{Value, json};

use super::Result;
use super::stats::{self, Ratio};
use super::tools::Sample;

/// What was measured of two tools side by side.
pub(super) struct Row {
    ours: String,
    peer: String,
    most: Option<f64>,
    pairs: Vec<(Sample, Sample)>,
}

impl Row {
    /// Runs `rounds` pairs of tools that are called so. Ours may take `most` of the peer's time, where that is promised.
    pub(super) fn measure(
        [ours, peer]: [&str; 2],
        most: Option<f64>,
        rounds: usize,
        mut run: impl FnMut(usize) -> Result<Sample>,
    ) -> Result<Self> {
        let mut pairs = Vec::new();
        for round in 0..rounds {
            // A B B A: what drifts hits both alike.
            let pair = if round % 2 == 0 {
                let first = run(0)?;
                (first, run(1)?)
            } else {
                let first = run(1)?;
                (run(0)?, first)
            };
            eprintln!("{ours} {} | {peer} {}", pair.0, pair.1);
            pairs.push(pair);
        }
        Ok(Self::of([ours, peer], most, pairs))
    }

    /// Of pairs that were measured already.
    pub(super) fn of([ours, peer]: [&str; 2], most: Option<f64>, pairs: Vec<(Sample, Sample)>) -> Self {
        Self { ours: ours.to_owned(), peer: peer.to_owned(), most, pairs }
    }

    /// Every sample, as it is kept.
    pub(super) fn json(&self) -> impl Iterator<Item = Value> {
        let Self { ours, peer, .. } = self;
        let of = move |(round, pair): (usize, &(Sample, Sample))| json!({"ours": ours, "peer": peer, "round": round, "samples": [pair.0.json(), pair.1.json()]});
        self.pairs.iter().enumerate().map(of)
    }
}

/// Prints the table.
pub(super) fn print(measured: &[Row]) {
    println!(
        "| | wall, ratio [95 %] | most | client CPU, ratio | server CPU, ratio | wall s | client CPU s | server CPU s | peak MiB | stored MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for Row { ours, peer, most, pairs } in measured {
        let ratio = |of: fn(&Sample) -> f64| Ratio::of(pairs.iter().map(|(ours, peer)| of(ours) / of(peer)));
        let both = |of: fn(&Sample) -> f64, digits: usize| {
            let [ours, peer] = [0, 1].map(|side| stats::median(pairs.iter().map(|p| of(if side == 0 { &p.0 } else { &p.1 }))));
            format!("{ours:.digits$} : {peer:.digits$}")
        };
        let wall = ratio(|sample| sample.wall);
        let most = most.map_or_else(String::new, |most| format!("{most}{}", if wall.median <= most { "" } else { ", missed" }));
        println!(
            "| {} : {} | {wall} | {most} | {} | {} | {} | {} | {} | {} | {} |",
            ours,
            peer,
            ratio(|sample| sample.cpu),
            ratio(|sample| sample.server_cpu),
            both(|sample| sample.wall, 1),
            both(|sample| sample.cpu, 1),
            both(|sample| sample.server_cpu, 1),
            both(|sample| sample.peak as f64 / f64::from(1 << 20), 0),
            both(|sample| sample.bytes_out as f64 / f64::from(1 << 20), 0),
        );
        if ours == peer && !(wall.low..=wall.high).contains(&1.0) {
            println!("\n**The run is void: the peer against itself is not 1.00.**\n");
        }
    }
}
