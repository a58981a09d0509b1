//! What this machine offers: cores, and memory as the cgroup or the machine has it.

use std::path::Path;

/// Memory that this process may use, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes.
    pub bytes: u64,
    /// `cgroup` or `machine`.
    pub source: &'static str,
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The smaller of the machine's memory and the limits of the cgroups around this process.
pub fn memory() -> Memory {
    let machine = Memory { bytes: physical(), source: "machine" };
    match cgroup_limit(Path::new("/")) {
        Some(bytes) if bytes < machine.bytes => Memory { bytes, source: "cgroup" },
        _ => machine,
    }
}

fn physical() -> u64 {
    // SAFETY: sysconf has no preconditions.
    let (pages, page) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).unwrap_or(0).saturating_mul(u64::try_from(page).unwrap_or(0))
}

/// The smallest limit on the way up from this process's cgroup; version 2 and version 1.
fn cgroup_limit(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
        let (mount, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            c if c.split(',').any(|c| c == "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return Vec::new(),
        };
        // Inside a container the path may be that of the host, with only the mount's root to be seen.
        let group = Path::new(group.trim_start_matches('/'));
        let read = |group: &Path| std::fs::read_to_string(root.join(mount).join(group).join(file)).ok();
        group.ancestors().filter_map(read).filter_map(|text| text.trim().parse().ok()).collect()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_smallest_limit_of_the_cgroups_above_counts() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(cgroup_limit(root.path()), None);
        write(root.path(), "proc/self/cgroup", "0::/a/b\n");
        write(root.path(), "sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(cgroup_limit(root.path()), None);
        write(root.path(), "sys/fs/cgroup/a/memory.max", "1000\n");
        assert_eq!(cgroup_limit(root.path()), Some(1000));
        write(root.path(), "sys/fs/cgroup/a/b/memory.max", "900\n");
        assert_eq!(cgroup_limit(root.path()), Some(900));
    }

    #[test]
    fn version_1_is_read_too() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/y\n");
        write(root.path(), "sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
        assert_eq!(cgroup_limit(root.path()), Some(4096));
    }

    #[test]
    fn this_machine_has_something() {
        assert!(cores() >= 1);
        assert!(memory().bytes > 1 << 24);
    }
}
