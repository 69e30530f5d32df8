//! Servers as children: when they are started and ended, and what they may use and reach.

use crate::support::{Folder, Http, Reply, Running, Server, is_running, legacy, processes_of, scripted, text_of, toolcrib, wait_for};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How the server called `s` is, as the resource tells it.
fn status(url: &str) -> Value {
    let answer = Http::new(url).modern("resources/read", json!({"uri": "status://server/upstreams"})).json();
    let text = answer["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    serde_json::from_str::<Value>(text).unwrap()["servers"][0].clone()
}

fn wait_until(url: &str, state: &str) -> Value {
    wait_for(&format!("the server to be {state}"), || Some(status(url)).filter(|status| status["state"] == state))
}

/// A scripted server that can be started for as long as a file is there.
fn startable_while(file: &Path) -> Value {
    let child = scripted(&[]);
    let script = format!("test -f {} && exec python3 {}", file.display(), child["args"][0].as_str().unwrap());
    json!({"command": "sh", "args": ["-c", script]})
}

#[test]
fn a_child_that_nobody_calls_is_ended_and_the_next_call_starts_it() {
    let mut child = scripted(&[]);
    child["idleStop"] = json!(1);
    let server = Server::start(&json!({"s": child}));
    server.wait_for_tool("s__pid");
    let first = server.call("s__pid", json!({})).unwrap();
    wait_until(&server.url, "asleep");
    wait_for("its process to end", || (!is_running(&first)).then_some(()));
    // Its tools are there all the same.
    assert!(server.tools().contains(&"s__pid".to_owned()));
    let second = server.call("s__pid", json!({})).unwrap();
    assert_ne!(second, first);
    // A call that takes longer than that keeps it awake.
    assert_eq!(server.call("s__slow", json!({})).unwrap(), "done at last");
    // Calls that come just when it falls asleep are answered, too.
    thread::scope(|scope| {
        for caller in 0..6_u64 {
            let server = &server;
            scope.spawn(move || {
                for call in 0..5_u64 {
                    thread::sleep(Duration::from_millis(1500 + (caller * 7 + call * 11) % 12 * 100));
                    assert!(server.call("s__pid", json!({})).is_ok());
                }
            });
        }
    });
    assert_eq!(status(&server.url)["failures"], 0);
}

#[test]
fn a_child_that_starts_slowly_does_not_fall_asleep_before_it_is_called() {
    let script = scripted(&[])["args"][0].as_str().unwrap().to_owned();
    let child = json!({"command": "sh", "args": ["-c", format!("sleep 3 && exec python3 {script}")], "idleStop": 1});
    let server = Server::start(&json!({"s": child}));
    server.wait_for_tool("s__pid");
    let pid = server.call("s__pid", json!({})).unwrap();
    wait_for("its process to end", || (!is_running(&pid)).then_some(()));
    let before = status(&server.url)["attempts"].as_u64().unwrap();
    assert!(server.call("s__pid", json!({})).is_ok());
    assert_eq!(status(&server.url)["attempts"].as_u64().unwrap(), before + 1);
}

#[test]
fn where_each_client_has_its_own_what_is_listed_is_looked_at_when_somebody_calls() {
    let mark = format!("--own-{}", std::process::id());
    let mut child = scripted(&[&mark]);
    child.as_object_mut().unwrap().extend(json!({"idleStop": 2, "sharing": "perCaller"}).as_object().unwrap().clone());
    let server = Server::start(&json!({"s": child}));
    server.wait_for_tool("s__pid");
    wait_until(&server.url, "asleep");
    wait_for("its process to end", || processes_of(&mark).is_empty().then_some(()));
    let before = status(&server.url)["attempts"].as_u64().unwrap();
    assert!(server.call("s__pid", json!({})).is_ok());
    wait_for("its lists to be read", || (status(&server.url)["attempts"].as_u64().unwrap() > before).then_some(()));
    wait_until(&server.url, "asleep");
}

#[test]
fn a_lazy_child_is_started_by_the_first_call_only() {
    let folder = Folder::new();
    let mark = format!("--lazy-{}", std::process::id());
    let start = |arguments: &[&str]| {
        let mut child = scripted(arguments);
        child["start"] = json!("lazy");
        let mut command = toolcrib();
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(folder.config(&json!({"mcpServers": {"s": child}})));
        let mut running = Running::start(command);
        let url = running.wait_to_say("serves MCP at ");
        (running, url)
    };
    let tools = |url: &str| Http::new(url).modern("tools/list", json!({})).body;
    // Nothing is known of it: it is started to be listed, and ended again.
    let (running, url) = start(&[&mark]);
    wait_until(&url, "asleep");
    assert!(tools(&url).contains("s__pid"));
    wait_for("its process to end", || processes_of(&mark).is_empty().then_some(()));
    drop(running);
    // Now it is known.
    let (running, url) = start(&[&mark]);
    wait_until(&url, "asleep");
    assert!(tools(&url).contains("s__pid"));
    assert_eq!((processes_of(&mark).len(), status(&url)["attempts"].as_u64()), (0, Some(0)));
    let called = Http::new(&url).modern("tools/call", json!({"name": "s__echo", "arguments": {"text": "well"}}));
    assert_eq!(text_of(&called.json()).unwrap(), "well");
    assert_eq!(processes_of(&mark).len(), 1);
    drop(running);
    // Started otherwise it may be another.
    let (_running, url) = start(&[&mark, "--modern"]);
    wait_for("it to be listed", || (status(&url)["attempts"] == 1).then_some(()));
}

#[test]
fn a_child_that_does_not_stay_is_quarantined_until_somebody_mends_it() {
    let folder = Folder::new();
    let flag = folder.path().join("flag");
    std::fs::write(&flag, "").unwrap();
    let server = Server::start(&json!({"s": startable_while(&flag)}));
    server.wait_for_tool("s__pid");
    let pid = server.call("s__pid", json!({})).unwrap();
    std::fs::remove_file(&flag).unwrap();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let status = wait_until(&server.url, "quarantined");
    assert_eq!(status["failures"], 5);
    assert!(status["lastFailure"].as_str().unwrap().contains("exited with code 1"), "{status}");
    assert!(status["nextAttempt"].is_string(), "{status}");
    // It is still listed, and a call says what is wrong and what helps.
    let said = server.call("s__pid", json!({})).unwrap_err();
    assert!(said.contains("it does not stay: it failed 5 times in a row") && said.contains("toolcrib reload"), "{said}");
    let listed = toolcrib().args(["list", "servers", "--url", &server.url]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.starts_with("s  quarantined  it does not stay"), "{listed}");
    assert!(server.process.said().contains("quarantined, since it does not stay"));
    std::fs::write(&flag, "").unwrap();
    let reloaded = toolcrib().args(["reload", "--config"]).arg(server.folder().join("mcp-config.yaml")).status().unwrap();
    assert!(reloaded.success());
    wait_until(&server.url, "ready");
    assert_ne!(server.call("s__pid", json!({})).unwrap(), pid);
}

#[test]
fn what_a_server_offered_is_listed_for_a_while_when_it_is_away() {
    let folder = Folder::new();
    let flag = folder.path().join("flag");
    std::fs::write(&flag, "").unwrap();
    let mut child = startable_while(&flag);
    child["keepListed"] = json!(2);
    let mut server = Server::start(&json!({"s": child}));
    server.wait_for_tool("s__pid");
    let pid = server.call("s__pid", json!({})).unwrap();
    std::fs::remove_file(&flag).unwrap();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    wait_until(&server.url, "down");
    assert!(server.tools().contains(&"s__pid".to_owned()));
    let said = server.call("s__pid", json!({})).unwrap_err();
    assert!(said.contains("exited with code 1") || said.contains("signal 9"), "{said}");
    server.process.wait_to_say("has been away for too long");
    wait_for("its tools to be gone", || (!server.tools().contains(&"s__pid".to_owned())).then_some(()));
    std::fs::write(&flag, "").unwrap();
    server.process.signal("-HUP");
    server.wait_for_tool("s__pid");
}

#[cfg(target_os = "linux")]
#[test]
fn a_sandbox_keeps_a_child_from_what_it_was_not_given() {
    let folder = Folder::new();
    for name in ["given", "hidden"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("file"), name).unwrap();
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut child = scripted(&[]);
    let script = child["args"][0].clone();
    child["sandbox"] = json!({"read": [script, folder.path().join("given")], "write": [folder.path().join("given/file")]});
    let mut open = child.clone();
    open["sandbox"]["network"] = json!(true);
    let server = Server::start(&json!({"closed": child, "open": open}));
    ["closed__reach", "open__reach"].iter().for_each(|tool| server.wait_for_tool(tool));
    let reach = |tool: &str, what: String| server.call(tool, json!({"text": what})).unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    for (what, expected) in [
        (format!("read {}", file("given/file")), "reached"),
        (format!("write {}", file("given/file")), "reached"),
        (format!("write {}", file("given/another")), "Permission denied"),
        (format!("read {}", file("hidden/file")), "Permission denied"),
        (format!("cat {}", file("given/file")), "reached"),
        (format!("cat {}", file("hidden/file")), "Permission denied"),
        (format!("write {}", file("hidden/file")), "Permission denied"),
        ("write /dev/null".to_owned(), "reached"),
        ("read /etc/hostname".to_owned(), "reached"),
        (format!("read {}", server.folder().join("mcp-config.yaml").display()), "Permission denied"),
        (format!("connect {port}"), "Permission denied"),
    ] {
        assert_eq!(reach("closed__reach", what.clone()), expected, "{what}");
    }
    assert_eq!(reach("open__reach", format!("connect {port}")), "reached");
    assert_eq!(reach("open__reach", format!("read {}", file("hidden/file"))), "Permission denied");
}

#[test]
fn a_sandbox_does_not_follow_what_a_child_puts_in_place_of_what_it_was_given() {
    let folder = Folder::new();
    for name in ["work", "work/given", "hidden"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let mut child = scripted(&[]);
    child["sandbox"] = json!({"read": [child["args"][0], folder.path().join("work/given")], "write": [folder.path().join("work")]});
    let server = Server::start(&json!({"s": child}));
    server.wait_for_tool("s__pid");
    let pid = server.call("s__pid", json!({})).unwrap();
    std::fs::remove_dir(folder.path().join("work/given")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("hidden"), folder.path().join("work/given")).unwrap();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let told = wait_for("it not to be started", || {
        let status = status(&server.url);
        status["lastFailure"].as_str().filter(|failure| failure.contains("cannot be opened as the config found it")).map(ToOwned::to_owned)
    });
    assert!(told.contains("work/given"), "{told}");
}

#[test]
fn a_child_that_starts_too_many_processes_is_ended() {
    let mut child = scripted(&[]);
    child["limits"] = json!({"processes": 3});
    let mut server = Server::start(&json!({"s": child}));
    server.wait_for_tool("s__spawn");
    let before = server.call("s__pid", json!({})).unwrap();
    let spawned: Vec<String> = (0..3).map(|_| server.call("s__spawn", json!({})).unwrap()).collect();
    server.process.wait_to_say("processes, 3 are allowed, and was ended");
    wait_for("all of them to end", || (!spawned.iter().any(|pid| is_running(pid))).then_some(()));
    let after = wait_for("another process", || server.call("s__pid", json!({})).ok());
    assert_ne!(after, before);
}

#[test]
fn a_server_that_hangs_is_started_anew() {
    for flags in [&[][..], &["--modern"]] {
        let mut child = scripted(flags);
        child["timeout"] = json!(1);
        child["startTimeout"] = json!(2);
        let server = Server::start(&json!({"s": child}));
        server.wait_for_tool("s__freeze");
        let before = server.call("s__pid", json!({})).unwrap();
        // That a call takes too long is no reason: the server answers what comes after it.
        assert!(server.call("s__hang", json!({})).unwrap_err().contains("no answer within the deadline"));
        assert_eq!(server.call("s__pid", json!({})), Ok(before.clone()));
        assert!(server.call("s__freeze", json!({})).unwrap_err().contains("no answer within the deadline"));
        let after = wait_for("another process", || server.call("s__pid", json!({})).ok());
        assert_ne!(after, before);
        assert!(server.process.said().contains("it hangs: nothing came from it for 2 s"), "{}", server.process.said());
    }
}

#[test]
fn a_child_has_no_more_than_the_config_gives_it() {
    let mut child = scripted(&[]);
    child["limits"] = json!({"memoryMiB": 200, "addressSpaceMiB": 2048, "cpuSeconds": 60, "openFiles": 99});
    let server = Server::start(&json!({"s": child}));
    server.wait_for_tool("s__swell");
    assert_eq!(server.call("s__allowed", json!({})), Ok(format!("[{}, 60, 99]", 2048_u64 << 20)));
    let before = server.call("s__pid", json!({})).unwrap();
    let said = server.call("s__swell", json!({})).unwrap_err();
    assert!(said.contains("the outcome is unknown"), "{said}");
    wait_for("the reason", || server.process.said().contains("MiB of memory, 200 are allowed, and was ended").then_some(()));
    let after = wait_for("another process", || server.call("s__pid", json!({})).ok());
    assert_ne!(after, before);
    let folder = Folder::new();
    for (definition, expected) in [
        (json!({"url": "https://x.example/mcp", "limits": {"openFiles": 9}}), "\"limits\" goes with a command"),
        (json!({"command": "x", "limits": {"openFiles": 0}}), "may use nothing"),
        (json!({"command": "x", "limits": {"memory": 1}}), "memoryMiB"),
    ] {
        folder.config(&json!({"mcpServers": {"s": definition}}));
        let output = toolcrib().arg("check").current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(1) && said.contains(expected), "{definition}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_children_with_grandchildren_come_and_go_while_some_cannot_be_started() {
    const CYCLES: usize = 1000;
    /// Of so many, one comes when nothing can be started.
    const OF: usize = 50;
    // Known by its flag among all processes of this machine.
    let mark = format!("--mark-{}", std::process::id());
    let mut child = scripted(&[&mark]);
    child["sharing"] = json!("perSession");
    let server = Server::start(&json!({ "s": child }));
    server.wait_for_tool("s__spawn");
    let before = processes_of(&mark).len();
    let (ping, spawn) = (legacy(1, "ping", json!({})), legacy(2, "tools/call", json!({"name": "s__spawn", "arguments": {}})));
    let said = |reply: &Reply| text_of(&reply.events().into_iter().next_back().unwrap_or_else(|| reply.json()));
    let (come, starving) = (AtomicUsize::new(0), RwLock::new(()));
    let grandchildren = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = come.fetch_add(1, Ordering::Relaxed);
                    if number >= CYCLES {
                        break;
                    }
                    if number % OF == OF - 1 {
                        let _alone = starving.write().unwrap();
                        let session = Http::session(&server.url, "2025-11-25");
                        let refused = said(&session.post_and_post(&ping, || server.process.limit_files(16), &spawn)).unwrap_err();
                        server.process.limit_files(1024);
                        assert!(refused.contains("Too many open files"), "{refused}");
                        session.send(reqwest::Method::DELETE, None);
                    } else {
                        let _together = starving.read().unwrap();
                        let session = Http::session(&server.url, "2025-11-25");
                        grandchildren.lock().unwrap().push(said(&session.post(&*spawn)).unwrap().parse::<u32>().unwrap());
                        session.send(reqwest::Method::DELETE, None);
                    }
                }
            });
        }
    });
    wait_for("all of them to be gone", || (processes_of(&mark).len() <= before).then_some(()));
    let grandchildren = grandchildren.into_inner().unwrap();
    assert_eq!(grandchildren.len(), CYCLES - CYCLES / OF);
    // They ignore every signal but one.
    wait_for("their children to be gone", || {
        let stubborn = processes_of("signal.SIG_IGN");
        (!grandchildren.iter().any(|pid| stubborn.contains(pid))).then_some(())
    });
}
