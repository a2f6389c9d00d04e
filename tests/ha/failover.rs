//! `rmq failover` against brokers as real processes.

use std::path::Path;
use std::process::{Command, Output};

use rmq::protocol::codes::ResponseCode;
use serde_json::Value;

use crate::group::{Member, assert_same_log, wait_for, wait_until_equal};
use crate::support::node::NodeProcess;
use crate::{SETTINGS, send_many, send_one};

const NAME: &str = "pair";

/// A name server, a master and a slave.
struct Pair {
    name_server: NodeProcess,
    master: Member,
    slave: Member,
}

impl Pair {
    fn start(root: &Path) -> Self {
        Self::start_as(root, &[])
    }

    fn start_as(root: &Path, of_master: &[&str]) -> Self {
        let name_server = NodeProcess::start_with(
            &root.join("namesrv"),
            &["--role", "namesrv", "--port", "0"],
            &[],
        );
        let at = format!("namesrvAddr={}", name_server.name_server);
        let settings = [SETTINGS, &["brokerName=pair", &at]].concat();
        let of_master = [&settings[..], of_master].concat();
        let mut master = Member::new(root, "master", None, &of_master);
        let mut slave = Member::new(root, "slave", Some(&master), &settings);
        master.start();
        slave.start();
        wait_for("the slave follows", || {
            (send_one(&master, "first") == ResponseCode::SUCCESS).then_some(())
        });
        send_many(&master, 100);
        wait_until_equal(&master, &slave);
        let role = master.status().role;
        wait_for("the slave knows what kind of master it has", || {
            (slave.status().role_as_master == role && slave.status().role_as_master_known)
                .then_some(())
        });
        Self {
            name_server,
            master,
            slave,
        }
    }

    fn rmq(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rmq"));
        command.arg("failover").args(args).args(["-o", "json"]);
        let name_server = self.name_server.name_server.to_string();
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RMQ_")) {
            command.env_remove(name);
        }
        let output = command
            .args(["--namesrv", &name_server])
            .stdin(std::process::Stdio::null())
            .output();
        output.unwrap()
    }

    fn good(&self, args: &[&str]) -> Value {
        let output = self.rmq(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused(&self, args: &[&str], code: i32) -> String {
        let output = self.rmq(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn a_dry_run_changes_nothing_and_nobody_is_asked_in_scripts() {
    let root = tempfile::tempdir().unwrap();
    let pair = Pair::start_as(root.path(), &["brokerRole=SYNC_MASTER"]);
    let before = (pair.master.status(), pair.slave.status().role);
    let steps = pair.good(&["promote", NAME, "--dry-run"]);
    let actions: Vec<_> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["action"])
        .collect();
    let expected = [
        "fence",
        "catch-up",
        "promote",
        "follow",
        "route",
        "test-send",
    ];
    assert_eq!(actions, expected);
    assert_eq!(steps[2]["detail"], "SYNC_MASTER of epoch 1");
    assert_eq!(pair.good(&["plan", NAME]), steps);
    assert!(pair.refused(&["promote", NAME], 2).contains("--yes"));
    let after = (pair.master.status(), pair.slave.status().role);
    assert_eq!(
        (before.0.promised, before.0.role, before.1),
        (after.0.promised, after.0.role, after.1)
    );
    assert_eq!(
        send_one(&pair.master, "still master"),
        ResponseCode::SUCCESS
    );
}

#[test]
fn a_living_master_is_fenced_and_the_place_can_be_changed_back() {
    let root = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(root.path());
    pair.good(&["promote", NAME, "--yes"]);
    assert_eq!(send_one(&pair.slave, "new"), ResponseCode::SUCCESS);
    assert_ne!(send_one(&pair.master, "old"), ResponseCode::SUCCESS);
    // It comes back with its old configuration.
    pair.master.kill();
    pair.master.start();
    assert_eq!(pair.master.status().role, "SLAVE");
    assert_ne!(send_one(&pair.master, "old"), ResponseCode::SUCCESS);
    wait_until_equal(&pair.slave, &pair.master);
    pair.good(&["switch-back", NAME, "--yes"]);
    assert_eq!(send_one(&pair.master, "again"), ResponseCode::SUCCESS);
    assert_ne!(send_one(&pair.slave, "no"), ResponseCode::SUCCESS);
    // What is done is found done.
    let to = pair.master.address().to_string();
    let steps = pair.good(&["promote", NAME, "--to", &to, "--yes"]);
    assert!(
        steps
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["result"] != "failed")
    );
    let drill = pair.good(&["drill", NAME, "--yes"]);
    assert_eq!(drill[0]["lost"], 0);
    assert!(drill[0]["acknowledged"].as_u64().unwrap() > 0);
    assert_eq!(
        send_one(&pair.master, "master as before"),
        ResponseCode::SUCCESS
    );
}

#[test]
fn a_killed_masters_place_is_taken_and_it_returns_fenced() {
    let root = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(root.path());
    pair.master.kill();
    wait_for("the name server misses it", || {
        let output = pair.rmq(&["plan", NAME]);
        (output.status.code() == Some(0)).then_some(())
    });
    pair.good(&["promote", NAME, "--yes"]);
    assert_eq!(send_one(&pair.slave, "new"), ResponseCode::SUCCESS);
    for _ in 0..2 {
        pair.master.start();
        assert_ne!(send_one(&pair.master, "old"), ResponseCode::SUCCESS);
        assert!(pair.master.status().fenced);
        pair.master.kill();
    }
    pair.master.start();
    assert!(
        pair.master.log().contains("rmq failover add-replica"),
        "{}",
        pair.master.log()
    );
    let address = pair.master.address().to_string();
    pair.good(&["add-replica", NAME, &address, "--yes"]);
    wait_until_equal(&pair.slave, &pair.master);
    let rows = pair.good(&["status", NAME]);
    assert!(
        rows.as_array()
            .unwrap()
            .iter()
            .all(|row| row["inSync"] == true),
        "{rows}"
    );
}

#[test]
fn acknowledged_messages_are_given_up_only_by_their_number() {
    let root = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(root.path());
    pair.slave.kill();
    send_many(&pair.master, 7);
    // It follows nobody, so it stays behind.
    let nobody = "haMasterAddress=127.0.0.1:1";
    pair.slave.set(nobody);
    pair.slave.start();
    wait_for("the name server knows it", || {
        let rows: Value = serde_json::from_slice(&pair.rmq(&["status", NAME]).stdout).ok()?;
        let rows = rows.as_array()?;
        (rows.len() == 2 && rows.iter().any(|row| row["losesMessages"] == 7)).then_some(())
    });
    let said = pair.refused(&["promote", NAME, "--yes"], 7);
    assert!(said.contains("lacks 7 acknowledged messages"), "{said}");
    pair.refused(&["promote", NAME, "--yes", "--lose", "6"], 7);
    assert_eq!(
        send_one(&pair.master, "still master"),
        ResponseCode::SUCCESS
    );
    pair.good(&["promote", NAME, "--yes", "--lose", "8"]);
    assert_eq!(send_one(&pair.slave, "new"), ResponseCode::SUCCESS);
    assert_ne!(send_one(&pair.master, "old"), ResponseCode::SUCCESS);
}

/// A snapshot of a running broker, restored to a directory.
fn copy(root: &Path, from: &Path, to: &Path) {
    let file = root.join("copy.tar.gz");
    let run = |args: &[&std::ffi::OsStr]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rmq"));
        let output = command.arg("snapshot").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    };
    let dir = std::ffi::OsStr::new("--data-dir");
    let force = std::ffi::OsStr::new("--force");
    run(&["save".as_ref(), file.as_ref(), dir, from.as_ref(), force]);
    run(&["restore".as_ref(), file.as_ref(), dir, to.as_ref(), force]);
}

#[test]
fn a_diverged_old_master_is_told_how_to_copy_and_then_follows() {
    let root = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(root.path());
    // The slave misses the last messages, and takes the place all the same.
    pair.slave.kill();
    send_many(&pair.master, 7);
    pair.master.kill();
    pair.slave.start();
    wait_for("the slave is known, and its master is not", || {
        let output = pair.rmq(&["plan", NAME]);
        (output.status.code() == Some(0)).then_some(())
    });
    pair.good(&["promote", NAME, "--yes"]);
    send_many(&pair.slave, 20);
    pair.master.start();
    let (address, end) = (
        pair.master.address().to_string(),
        pair.master.status().log_end,
    );
    let said = pair.refused(&["add-replica", NAME, &address, "--wait", "3s", "--yes"], 6);
    let dir = pair.master.dir.display().to_string();
    for part in ["nothing was cut", "rmq snapshot restore", "--force", &dir] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(pair.master.status().log_end, end);
    // What it says is done, while messages arrive.
    pair.master.stop();
    copy(root.path(), &pair.slave.dir, &pair.master.dir);
    send_many(&pair.slave, 50);
    pair.master.start();
    assert_eq!(pair.master.status().role, "SLAVE", "it keeps its role");
    wait_until_equal(&pair.slave, &pair.master);
    pair.slave.stop();
    pair.master.stop();
    assert_same_log(&pair.slave.dir, &pair.master.dir);
}

#[test]
fn a_second_master_of_one_name_stands_back_while_the_first_answers() {
    let root = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(root.path());
    let at = format!("namesrvAddr={}", pair.name_server.name_server);
    let settings = [SETTINGS, &["brokerName=pair", &at]].concat();
    let mut second = Member::new(root.path(), "second", None, &settings);
    second.start();
    assert!(second.status().fenced);
    assert_ne!(send_one(&second, "no"), ResponseCode::SUCCESS);
    assert_eq!(send_one(&pair.master, "yes"), ResponseCode::SUCCESS);
    let first = pair.master.address().to_string();
    let log = second.log();
    let line = log
        .lines()
        .find(|line| line.contains("two brokers claim to be master"));
    assert!(line.is_some_and(|line| line.contains(&first)), "{log}");
    pair.master.kill();
    wait_for("the second one is alone", || {
        (send_one(&second, "yes") == ResponseCode::SUCCESS).then_some(())
    });
}
