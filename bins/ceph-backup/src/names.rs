//! Which names a sync passes over: `--exclude`, `--include` and their like.

use std::path::{Path, PathBuf};

use backup_ceph::sync::{Filter, Pattern};
use backup_core::{Doing, Result};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Pass over names that end so; may be given several times
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Pass over names in which this regular expression is found; may be given several times
    #[arg(long, value_name = "REGEX")]
    rexclude: Vec<String>,
    /// Pass over names that fit a glob of this file
    #[arg(long, value_name = "FILE")]
    exclude_from: Vec<PathBuf>,
    /// Pass over names that fit a regular expression of this file
    #[arg(long, value_name = "FILE")]
    rexclude_from: Vec<PathBuf>,
    /// Do not pass over names that end so, whatever excludes them; may be given several times
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Do not pass over names in which this regular expression is found; may be given several times
    #[arg(long, value_name = "REGEX")]
    rinclude: Vec<String>,
    /// Do not pass over names that fit a glob of this file
    #[arg(long, value_name = "FILE")]
    include_from: Vec<PathBuf>,
    /// Do not pass over names that fit a regular expression of this file
    #[arg(long, value_name = "FILE")]
    rinclude_from: Vec<PathBuf>,
}

impl FilterArgs {
    /// What they say.
    pub(crate) fn filter(&self) -> Result<Filter> {
        let exclude = patterns(&self.exclude, &self.exclude_from, &self.rexclude, &self.rexclude_from)?;
        let include = patterns(&self.include, &self.include_from, &self.rinclude, &self.rinclude_from)?;
        Filter::new(&exclude, &include)
    }
}

/// Patterns of options, then those of files.
fn patterns(globs: &[String], glob_files: &[PathBuf], regexes: &[String], regex_files: &[PathBuf]) -> Result<Vec<Pattern>> {
    let text = |path: &Path| std::fs::read_to_string(path).doing(|| format!("read the patterns in {}", path.display()));
    let mut patterns: Vec<Pattern> = globs.iter().map(|glob| Pattern::glob(glob)).collect();
    patterns.extend(regexes.iter().map(|regex| Pattern::regex(regex)));
    for path in glob_files {
        patterns.extend(Pattern::lines(&text(path)?).map(Pattern::glob));
    }
    for path in regex_files {
        patterns.extend(Pattern::lines(&text(path)?).map(Pattern::regex));
    }
    Ok(patterns)
}
