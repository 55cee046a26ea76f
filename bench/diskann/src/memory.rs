//! The most memory that this process has held.

use std::fs::read_to_string;

use anyhow::{Context, Result};

/// The resident peak so far, in MiB.
///
/// Not `getrusage`: its peak starts from that of the process which launched this one.
pub fn peak_rss_mib() -> Result<f64> {
    let status = read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(kib.context("/proc/self/status has no VmHWM")? / 1024.0)
}
