//! This machine.

use serde_json::json;

use crate::cli::doctor::facts::{DataDir, Facts};
use crate::cli::doctor::finding::{Finding, Link};
use crate::cli::output::human_bytes;

/// Fewer open files than this are few for a broker.
const FILES: u64 = 4096;
/// In percent of the disk.
const FULL: u64 = 85;

pub(super) fn local(facts: &Facts) -> Link {
    let machine = &facts.machine;
    let mut findings = Vec::new();
    if let Some(files) = machine.open_files_max.filter(|files| *files < FILES) {
        findings.push(
            Finding::new(
                "RMQ-D091",
                "this machine",
                format!("a process may open {files} files"),
            )
            .evidence(json!({"openFilesMax": files})),
        );
    }
    if let Some(kind) = &machine.container {
        findings.push(
            Finding::new(
                "RMQ-D092",
                "this machine",
                format!("is a container ({kind})"),
            )
            .evidence(json!({"container": kind})),
        );
    }
    if let Some(dir) = &machine.data_dir {
        findings.extend(data_dir(dir));
    }
    for port in &machine.ports_taken {
        findings.push(
            Finding::new("RMQ-D094", "this machine", format!("port {port} is taken"))
                .evidence(json!({"port": port})),
        );
    }
    Link {
        name: "machine",
        findings,
        closed: machine.open_files_max.map_or_else(
            || "nothing to complain about".to_owned(),
            |files| format!("{files} open files allowed"),
        ),
    }
}

fn data_dir(dir: &DataDir) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(error) = &dir.error {
        findings.push(Finding::new("RMQ-D095", &dir.path, error.clone()));
        return findings;
    }
    if dir.abort_file && !dir.in_use {
        findings.push(
            Finding::new(
                "RMQ-D090",
                &dir.path,
                "was not closed in order, and no process has it now",
            )
            .fix(format!("rmq inspect fsck {}", dir.path)),
        );
    }
    if let (Some(free), Some(total)) = (dir.free_bytes, dir.total_bytes) {
        let used = total.saturating_sub(free);
        if total > 0 && used / (total / 100).max(1) > FULL {
            findings.push(
                Finding::new(
                    "RMQ-D093",
                    &dir.path,
                    format!("{} of {} are free", human_bytes(free), human_bytes(total)),
                )
                .evidence(json!({"freeBytes": free, "totalBytes": total})),
            );
        }
    }
    findings
}
