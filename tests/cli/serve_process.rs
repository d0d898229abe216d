//! What a process of `fhirline serve` lets others see and have of the machine that it runs on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;
use serde_json::{Value, json};

use fhirline_connect::Misbehaviour;

use super::serve::{Chaos, simulated_so};

fn told_of_failure() -> Value {
    let data = json!({ "task_id": "t1", "failure_reason": "token_refresh_failure" });
    json!({ "api_mode": "test", "id": "e1", "type": "patient.ehi_export_failed", "data": data })
}

#[test]
fn the_command_that_is_told_of_an_end_sees_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("told");
    let script = format!("env > '{0}.partial' && mv '{0}.partial' '{0}'", told.display());
    let more = format!(
        "store_env = \"STORE\"\npage.token_env = \"TOKEN\"\non_complete.command = [\"sh\", \"-c\", {}]",
        json!(script)
    );
    let mut chaos = Chaos::with("http://127.0.0.1:9/v1", &more);
    let file = chaos.path("fhirline.toml");
    let config = fs::read_to_string(&file).expect("readable") + "private_key_env = \"KEY\"\n";
    fs::write(file, config).expect("written");
    let secrets = [
        ("STORE", "CANARY.db"),
        ("TOKEN", "CANARYtoken"),
        ("KEY", "private_test_CANARY"),
        ("FASTEN_NEW", "CANARY"),
    ];
    chaos.environment.extend(secrets.map(|(name, value)| (name, value.to_owned())));
    chaos.environment.push(("KEPT", "as it is".to_owned()));
    chaos.processes.push(chaos.start("serve"));
    chaos.tell(&told_of_failure());
    let seen = chaos.wait_for(|| fs::read_to_string(&told).ok());
    let has = |start: &str| seen.lines().any(|line| line.starts_with(start));
    assert!(has("KEPT=as it is") && has("PATH=") && has("FHIRLINE_EXPORT_ID="), "{seen}");
    assert!(
        !has("FASTEN_") && !has("KEY=") && !seen.contains("CANARY") && !seen.contains("whsec_"),
        "{seen}"
    );
}

/// The limit on the size of a core dump that the service has, if whoever starts it sets none.
#[cfg(target_os = "linux")]
fn core_limit(more: &str) -> String {
    let chaos = Chaos::with("http://127.0.0.1:9/v1", more);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -c \"$(ulimit -H -c)\"; exec \"$@\"", "sh"]).arg(cargo_bin("fhirline"));
    command
        .args(["serve", "--config"])
        .arg(chaos.path("fhirline.toml"))
        .envs(chaos.environment.iter().cloned());
    let mut serve = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
    let mut line = String::new();
    BufReader::new(serve.stdout.as_mut().expect("an output")).read_line(&mut line).expect("a line");
    let limits = fs::read_to_string(format!("/proc/{}/limits", serve.id())).expect("readable");
    serve.kill().expect("killed");
    serve.wait().expect("waited");
    assert!(line.starts_with("listening on"), "{line}");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("a limit");
    limit.split_whitespace().next().expect("the soft one").to_owned()
}

#[cfg(target_os = "linux")]
#[test]
fn a_crash_leaves_no_memory_behind_unless_it_is_allowed_to() {
    assert_eq!(core_limit(""), "0");
    let allowed = core_limit("core_dumps = true");
    let most = Command::new("sh").args(["-c", "ulimit -H -c"]).output().expect("run").stdout;
    let most = String::from_utf8(most).expect("text");
    // The shell counts in blocks.
    assert_eq!((allowed == "unlimited", allowed == "0"), (most.trim() == "unlimited", most.trim() == "0"));
}

/// Names and niceness of the threads of a process.
#[cfg(target_os = "linux")]
fn threads(process: u32) -> Vec<(String, i64)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("tasks");
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let parts = stats.filter_map(|stat| {
        let (head, tail) = stat.rsplit_once(") ")?;
        // proc_pid_stat(5): the third field comes first here, and the nineteenth is the niceness.
        let niceness = tail.split(' ').nth(16)?.parse().ok()?;
        Some((head.split_once('(')?.1.to_owned(), niceness))
    });
    parts.collect()
}

#[cfg(target_os = "linux")]
#[test]
fn answers_come_before_the_work_on_exports() {
    let folder = tempfile::tempdir().expect("a folder");
    let (simulator, tasks) =
        simulated_so(folder.path(), 1, |options| options.misbehaving(Misbehaviour::Huge));
    let mut chaos = Chaos::new(&simulator.api_url(), "fhirline.db");
    chaos.processes.push(chaos.start("serve"));
    let serve = chaos.processes[0].id();
    let own = threads(serve).iter().map(|(_, niceness)| *niceness).max().expect("threads");
    let (connection, task) = &tasks[0];
    let links = json!([{ "url": simulator.link_of(task), "export_type": "jsonl" }]);
    let data = json!({ "task_id": task, "org_connection_id": connection, "download_links": links });
    chaos
        .tell(&json!({ "api_mode": "test", "id": "e1", "type": "patient.ehi_export_success", "data": data }));
    let at_work = ["fhirline-export", "fhirline-source", "fhirline-net", "fhirline-0"];
    // The last of them that is started has what the others have.
    let all = chaos.wait_for(|| {
        let all = threads(serve);
        at_work.iter().all(|name| all.iter().any(|(of, _)| of == name)).then_some(all)
    });
    for (name, niceness) in &all {
        let is_late = at_work.contains(&&**name) || ["fhirline-1", "fhirline-begin"].contains(&&**name);
        let wanted = if is_late { (own + 10).min(19) } else { own };
        assert_eq!(*niceness, wanted, "{name}: {all:?}");
    }
}
