//! What this machine offers a node: ports, disk, open files; whether it is a container.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use crate::sys::platform;

/// Room on the disk that holds a path: bytes that may still be used, and all of them.
pub(crate) fn disk_room(path: &Path) -> Option<(u64, u64)> {
    platform::disk_space(path).map(|space| (space.usable, space.total))
}

/// How many files a process may have open.
pub(crate) fn open_files_max() -> Option<u64> {
    platform::open_files_max()
}

/// Whether somebody listens on a port of the loopback address.
pub(crate) fn is_port_taken(port: u16) -> bool {
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    TcpListener::bind(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// What kind of container this process runs in, if it is one that says so.
pub(crate) fn container() -> Option<String> {
    if let Some(kind) = std::env::var_os("container").filter(|kind| !kind.is_empty()) {
        return Some(kind.to_string_lossy().into_owned());
    }
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some("kubernetes".to_owned());
    }
    for (file, kind) in [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")] {
        if Path::new(file).exists() {
            return Some(kind.to_owned());
        }
    }
    None
}

/// Whether another process has the store in a directory. Nothing is created there.
pub(crate) fn is_store_in_use(dir: &Path) -> io::Result<bool> {
    let lock = dir.join("lock");
    if !lock.exists() {
        return Ok(false);
    }
    let file = platform::open_write(&lock)?;
    platform::try_lock(&file).map(|free| !free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_somebody_listens_on_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_port_taken(port));
        drop(listener);
        assert!(!is_port_taken(port));
    }

    #[test]
    fn a_directory_without_a_store_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_store_in_use(dir.path()).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(disk_room(dir.path()).is_none_or(|(free, total)| free <= total));
    }
}
