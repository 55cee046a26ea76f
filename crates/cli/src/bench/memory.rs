//! The most memory that this process has held.

/// The resident peak so far, in MiB, where the system tells it (Linux).
///
/// Not `getrusage`: its peak starts from that of the process which launched this one.
pub fn peak_rss_mib() -> Option<f64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::{parse, peak_rss_mib};

    #[test]
    fn the_peak_is_read_from_the_status() {
        let status = "Name:\tloomdb\nVmHWM:\t   36864 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!(parse(status), Some(36.0));
        assert_eq!(parse("Name:\tloomdb\n"), None);
        assert_eq!(peak_rss_mib().is_some(), cfg!(target_os = "linux"));
    }
}
