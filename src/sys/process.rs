//! Other processes of this machine.

use std::io;

/// Watches a process until it ends.
#[derive(Debug)]
pub(crate) struct ProcessWatch {
    #[cfg(unix)]
    pid: rustix::process::Pid,
    /// Tells at once, and is not fooled when the number is given away again. Not every kernel has it.
    #[cfg(target_os = "linux")]
    handle: Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>,
}

#[cfg(unix)]
impl ProcessWatch {
    /// Begins to watch a process, which must be there. Needs a tokio runtime.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .ok_or(io::ErrorKind::NotFound)?;
        if !is_there(pid) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self {
            pid,
            #[cfg(target_os = "linux")]
            handle: handle(pid),
        })
    }

    /// Completes when the process is gone, or a corpse nobody has looked after.
    pub(crate) async fn ended(&self) {
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle
            && handle.readable().await.is_ok()
        {
            return;
        }
        while is_there(self.pid) {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

/// Somebody else's process is there, too, although it may not be sent anything.
#[cfg(unix)]
fn is_there(pid: rustix::process::Pid) -> bool {
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(target_os = "linux")]
#[allow(
    deprecated,
    reason = "the successor is unsafe, because a handle could be closed by others; this one is owned"
)]
fn handle(pid: rustix::process::Pid) -> Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    let opened = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::NONBLOCK);
    tokio::io::unix::AsyncFd::with_interest(opened.ok()?, tokio::io::Interest::READABLE).ok()
}

#[cfg(not(unix))]
impl ProcessWatch {
    /// Begins to watch a process. There is no way to do so here.
    pub(crate) fn open(_pid: u32) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never completes.
    pub(crate) async fn ended(&self) {
        std::future::pending::<()>().await;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_is_seen_before_anybody_looks_after_it() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let watch = ProcessWatch::open(child.id()).unwrap();
        let mut ended = std::pin::pin!(watch.ended());
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), &mut ended).await;
        assert!(early.is_err());
        drop(child.stdin.take());
        #[cfg(not(target_os = "linux"))]
        child.wait().unwrap();
        ended.await;
        child.wait().unwrap();
        let gone = ProcessWatch::open(u32::MAX).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}
