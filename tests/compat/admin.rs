//! The commands of administration against the real Apache: the same commands as in `tests/cli/admin`, by their exit codes
//! and by what they read back.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::apache::Apache;

/// `rmq` against one cluster.
struct Rmq<'a> {
    name_server: &'a str,
    dir: &'a Path,
}

impl Rmq<'_> {
    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rmq"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RMQ_") {
                command.env_remove(name);
            }
        }
        command
            .env("RMQ_CONFIG_DIR", self.dir)
            .env("NAMESRV_ADDR", self.name_server)
            .current_dir(self.dir)
            .args(line.split_whitespace())
            .output()
            .unwrap()
    }

    /// Runs a command that must end with a code; its rows.
    fn ends(&self, line: &str, code: i32) -> Vec<Value> {
        let output = self.run(&format!("{line} -o jsonl"));
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {err}");
        let out = String::from_utf8(output.stdout).unwrap();
        let rows = out.lines().map(serde_json::from_str);
        rows.collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{line}: {error}: {out}"))
    }

    fn ok(&self, line: &str) -> Vec<Value> {
        self.ends(line, 0)
    }

    /// Runs a change of which every step must be done.
    fn done(&self, line: &str) -> Vec<Value> {
        let rows = self.ok(line);
        assert!(!rows.is_empty(), "{line}");
        for row in &rows {
            assert_eq!(row["result"], "done", "{line}: {row}");
        }
        rows
    }
}

fn field<'a>(rows: &'a [Value], name: &str) -> Vec<&'a Value> {
    rows.iter().map(|row| &row[name]).collect()
}

#[test]
#[ignore = "needs a JDK and Apache's jars in ROCKETMQ_JAVA_LIB"]
fn administration_of_apache() {
    let root = tempfile::tempdir().unwrap();
    let data_dir = root.path().join("store");
    let apache = Apache::start(
        &data_dir,
        &[
            "recallMessageEnable=true",
            "authenticationMetadataProvider=org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider",
            "authorizationMetadataProvider=org.apache.rocketmq.auth.authorization.provider.LocalAuthorizationMetadataProvider",
        ],
    );
    let rmq = Rmq {
        name_server: &apache.name_server,
        dir: root.path(),
    };
    topics(&rmq);
    groups(&rmq);
    messages(&rmq);
    servers(&rmq);
    users(&rmq, root.path());
    old_spelling(&rmq);
    apache.stop();
}

fn topics(rmq: &Rmq<'_>) {
    rmq.done("topic create orders pay --queues 4");
    rmq.done("topic create ordered --queues 2 --type fifo");
    rmq.ends("topic create orders --queues 8", 1);
    let listed = rmq.ok("topic ls");
    assert_eq!(field(&listed, "topic"), ["ordered", "orders", "pay"]);
    assert_eq!(listed[0]["messageType"], "FIFO");
    rmq.done("topic set orders --perm r --read-queues 5 --order-conf broker-a:4");
    rmq.done("topic set orders --perm rw --order-conf none");
    let shown = rmq.ok("topic show orders --by broker");
    assert_eq!(
        (&shown[0]["readQueues"], &shown[0]["perm"]),
        (&5.into(), &"rw".into())
    );
    rmq.ends("topic show nosuch", 3);
    rmq.done("topic drain pay --timeout 30s --rm --yes");
    rmq.ends("topic show pay", 3);
}

fn groups(rmq: &Rmq<'_>) {
    rmq.done("group create billing --retry-max 3");
    rmq.done("group set billing --enable false --forbid orders");
    rmq.done("group set billing --enable true --allow orders");
    for body in 0..6 {
        rmq.ok(&format!("send orders --key k{body} --tag paid body-{body}"));
    }
    let planned = rmq.ok("group reset billing orders --to earliest --dry-run");
    assert!(
        field(&planned, "result")
            .iter()
            .all(|result| *result == "planned")
    );
    rmq.done("group reset billing orders --to earliest --yes");
    let sum = |rows: &[Value]| -> i64 { rows.iter().filter_map(|row| row["lag"].as_i64()).sum() };
    assert_eq!(sum(&rmq.ok("group show billing orders")), 6);
    rmq.ends("check lag --group billing --warn 5 --crit 100", 7);
    rmq.ok("group skip billing orders --yes");
    assert_eq!(sum(&rmq.ok("group show billing orders")), 0);
    rmq.done("group clone billing copy orders --yes");
    rmq.ends("group show nosuch", 3);
    rmq.done("group rm billing --yes");
}

fn messages(rmq: &Rmq<'_>) {
    let found = rmq.ok("msg find orders --key k3");
    assert_eq!(field(&found, "bodyText"), ["body-3"]);
    let id = found[0]["uniqKey"].as_str().unwrap();
    let place = found[0]["msgId"].as_str().unwrap();
    assert_eq!(rmq.ok(&format!("msg get {id}"))[0]["msgId"], place);
    assert_eq!(rmq.ok(&format!("msg get {place}"))[0]["uniqKey"], id);
    rmq.ends("msg get 0123456789ABCDEF0123456789ABCDEF", 3);
    let sent = rmq.ok("send orders --delay 1h later");
    let id = sent[0]["uniqKey"].as_str().unwrap();
    assert_eq!(field(&rmq.ok("msg delayed orders"), "uniqKey"), [id]);
    rmq.done(&format!("msg rm {id} --yes"));
    rmq.ok("msg half");
}

fn servers(rmq: &Rmq<'_>) {
    assert_eq!(rmq.ok("broker ls")[0]["brokerName"], "broker-a");
    rmq.done("broker config set fileReservedTime=49 --yes");
    rmq.ends(
        "broker config set fileReservedTime=50 noSuchSetting=1 --yes",
        6,
    );
    rmq.done("broker perm broker-a r --yes");
    assert_eq!(
        rmq.ok("topic show orders --by broker")[0]["routedPerm"],
        "r"
    );
    rmq.done("broker perm broker-a rw");
    rmq.done("broker clean --expired-log --expired-queues --unused-topics --yes");
    assert_eq!(rmq.ok("cluster show")[0]["masters"], 1);
    assert_eq!(rmq.ok("cluster show --by namesrv")[0]["agrees"], true);
    rmq.done("nsconf set --kv SPACE a=b --yes");
    rmq.done("nsconf rm --kv SPACE a --yes");
    rmq.ok("check brokers");
}

fn users(rmq: &Rmq<'_>, dir: &Path) {
    std::fs::write(dir.join("alice.pw"), "secret1\n").unwrap();
    rmq.done("acl user set alice --password-file alice.pw");
    rmq.done("acl user set alice --type super --status disable");
    assert_eq!(rmq.ok("acl user ls")[0]["type"], "Super");
    rmq.done(
        "acl rule set User:alice --resource Topic:orders --actions Pub,Sub --source-ip 10.0.0.0/8",
    );
    rmq.done("acl rule set User:alice --resource Topic:orders --actions Pub --decision deny");
    assert_eq!(rmq.ok("acl rule ls")[0]["decision"], "Deny");
    rmq.done("acl rule rm User:alice --yes");
    rmq.done("acl user rm alice --yes");
    rmq.ends("acl user rm alice --yes", 3);
}

fn old_spelling(rmq: &Rmq<'_>) {
    for (line, code) in [
        ("updateTopic -c DefaultCluster -t old -r 2 -w 2", 0),
        ("topicStatus -t old", 0),
        ("updateSubGroup -c DefaultCluster -g oldgroup -r 5", 0),
        ("consumerProgress -g oldgroup", 0),
        ("getBrokerConfig -c DefaultCluster", 0),
        ("deleteSubGroup -c DefaultCluster -g oldgroup -r true", 0),
        ("deleteTopic -c DefaultCluster -t old", 0),
        ("topicStatus -t old", 3),
        ("topicStatus", 2),
    ] {
        let output = rmq.run(&format!("mqadmin {line}"));
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {err}");
    }
}
