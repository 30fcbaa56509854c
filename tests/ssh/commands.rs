//! Running commands: input, output, limits.

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fleetadm::ssh::{Exit, Input, RunOptions, SshError, Stream};

use crate::connect;
use crate::sshd::Sshd;

#[tokio::test]
async fn exit_codes_signals_and_both_outputs() {
    let server = server!();
    let connection = connect(&server).await;
    let output = connection.run("echo out; echo err >&2; exit 7", Input::None).await.unwrap();
    assert_eq!(output.exit, Exit::Code(7));
    assert_eq!((output.stdout_text().as_str(), output.stderr_text().as_str()), ("out\n", "err\n"));

    let output = connection.run("kill -KILL $$", Input::None).await.unwrap();
    assert_eq!(output.exit, Exit::Signal("KILL".to_owned()));
    assert_eq!(output.exit.to_string(), "killed by SIGKILL");

    // Standard input always ends.
    let output = connection.run("cat; echo end", Input::None).await.unwrap();
    assert_eq!(output.stdout_text(), "end\n");
}

#[tokio::test]
async fn eight_mebibytes_through_cat() {
    let server = server!();
    let connection = connect(&server).await;
    let data: Bytes = (0..8u32 * 1024 * 1024).map(|index| (index % 251) as u8).collect();
    let output = connection.run("cat", data.clone().into()).await.unwrap();
    assert_eq!(output.exit, Exit::Code(0));
    assert!(output.stdout == data);
}

#[tokio::test]
async fn a_command_that_ignores_its_input() {
    let server = server!();
    let connection = connect(&server).await;
    let data = Bytes::from(vec![0; 16 * 1024 * 1024]);
    let output = connection.run("exec <&-; echo done", data.into()).await.unwrap();
    assert_eq!(output.stdout_text(), "done\n");
}

#[tokio::test]
async fn a_large_file_is_streamed() {
    let server = server!();
    let connection = connect(&server).await;
    let path = server.path("image.tar");
    let size = 128 * 1024 * 1024;
    fs::File::create(&path).unwrap().set_len(size).unwrap();
    let file = tokio::fs::File::open(&path).await.unwrap();
    let output = connection.run("wc -c", Input::reader(file)).await.unwrap();
    assert_eq!(output.stdout_text().trim(), size.to_string());
}

#[tokio::test]
async fn output_is_bounded() {
    let server = server!();
    let connection = connect(&server).await;
    let options = RunOptions { stdout_limit: 1024 * 1024, ..RunOptions::default() };
    let error = connection.run_with("yes", Input::None, &options).await.unwrap_err();
    assert!(
        matches!(error, SshError::OutputTooLong { stream: "standard output", limit: 1_048_576 }),
        "{error:?}"
    );
    // The connection is as good as before.
    assert!(connection.run("true", Input::None).await.unwrap().exit.success());
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_terminated() {
    let server = server!();
    let connection = connect(&server).await;
    let mark = server.path("terminated");
    // sshd passes the signal on for ordinary users; root's commands get SIGPIPE when they print.
    let command = format!(
        "trap 'touch {}; exit' TERM PIPE; while echo .; do sleep 0.1; done; touch {0}",
        mark.display()
    );
    let options = RunOptions { timeout: Some(Duration::from_millis(500)), ..RunOptions::default() };
    let error = connection.run_with(&command, Input::None, &options).await.unwrap_err();
    assert!(matches!(error, SshError::Timeout { .. }), "{error:?}");
    assert!(!error.could_not_reach());
    let deadline = Instant::now() + Duration::from_secs(10);
    while !mark.exists() {
        assert!(Instant::now() < deadline, "the command was not terminated");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(connection.run("true", Input::None).await.unwrap().exit.success());
}

#[tokio::test]
async fn sixty_commands_at_once() {
    // The second server has room for fewer sessions than are opened by default.
    for config in ["", "MaxSessions 4"] {
        let server = server!("ed25519", config);
        let connection = connect(&server).await;
        let tasks: Vec<_> = (0..60)
            .map(|index| {
                let connection = connection.clone();
                let command = format!("echo {index}; cat");
                tokio::spawn(
                    async move { connection.run(&command, format!("in {index}").into()).await },
                )
            })
            .collect();
        for (index, task) in tasks.into_iter().enumerate() {
            let output = task.await.unwrap().unwrap();
            assert_eq!(output.stdout_text(), format!("{index}\nin {index}"));
        }
    }
}

#[tokio::test]
async fn lines_arrive_while_the_command_runs() {
    let server = server!();
    let connection = connect(&server).await;
    let lines = Mutex::new(Vec::new());
    let command = "echo one; echo two >&2; sleep 1; printf three";
    let exit = connection
        .run_lines(command, Input::None, &RunOptions::default(), |stream, line| {
            lines.lock().unwrap().push((Instant::now(), stream, line.to_owned()));
        })
        .await
        .unwrap();
    assert!(exit.success());
    let lines = lines.into_inner().unwrap();
    let text = |stream| {
        let lines = lines.iter().filter(|(_, of, _)| *of == stream);
        lines.map(|(_, _, line)| line.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(text(Stream::Stdout), ["one", "three"]);
    assert_eq!(text(Stream::Stderr), ["two"]);
    let spread = lines.last().unwrap().0 - lines.first().unwrap().0;
    assert!(spread > Duration::from_millis(500), "{spread:?}");
}
