//! Processes on a host, told apart by their arguments, asked to end, and ended.

use super::{Change, Node, NodeError};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it began, in hundredths of a second since the machine did: tells it from a later one of the same number.
    pub ticks: u64,
    /// When it began, in seconds since 1970 by the host's clock; up to a second off.
    pub started: i64,
    /// Its arguments, the command first.
    pub arguments: Vec<String>,
}

impl Node {
    /// The processes whose executable has one of these names.
    ///
    /// # Errors
    /// What the host said.
    pub async fn processes(&self, names: &[&str]) -> Result<Vec<Process>, NodeError> {
        let mut arguments = vec!["processes"];
        arguments.extend(names);
        let answer = self.call(&arguments).await?;
        let answer = String::from_utf8_lossy(&answer);
        parse(&answer).ok_or_else(|| self.unexpected("processes", "not a list of processes"))
    }

    /// Ask a process to end; no change where it has ended already. Does not wait for it.
    ///
    /// # Errors
    /// What the host said.
    pub async fn terminate(&self, process: &Process, what: &str) -> Result<Vec<Change>, NodeError> {
        self.signal(process, "TERM", what).await
    }

    /// End a process that has been asked to, whatever it is doing; no change where it has ended already.
    ///
    /// # Errors
    /// What the host said.
    pub async fn kill(&self, process: &Process, what: &str) -> Result<Vec<Change>, NodeError> {
        self.signal(process, "KILL", what).await
    }

    async fn signal(
        &self,
        process: &Process,
        signal: &str,
        what: &str,
    ) -> Result<Vec<Change>, NodeError> {
        let (pid, ticks) = (process.pid.to_string(), process.ticks.to_string());
        let answer = self.call(&["terminate", &pid, &ticks, signal]).await?;
        match self.lines("terminate", &answer)?.as_slice() {
            [("changed", _)] => Ok(vec![Change::new(what)]),
            [("unchanged", _)] => Ok(vec![]),
            _ => Err(self.unexpected("terminate", &String::from_utf8_lossy(&answer))),
        }
    }
}

/// `process PID TICKS BEGIN`, the process's arguments with a blank in front, and `end` after the last one.
fn parse(answer: &str) -> Option<Vec<Process>> {
    let mut processes: Vec<Process> = Vec::new();
    let mut lines = answer.lines();
    for line in lines.by_ref() {
        if let Some(argument) = line.strip_prefix(' ') {
            processes.last_mut()?.arguments.push(argument.to_owned());
        } else if let Some(rest) = line.strip_prefix("process ") {
            let mut numbers = rest.split(' ');
            processes.push(Process {
                pid: numbers.next()?.parse().ok()?,
                ticks: numbers.next()?.parse().ok()?,
                started: numbers.next()?.parse().ok()?,
                arguments: Vec::new(),
            });
        } else if line == "end" {
            return lines.next().is_none().then_some(processes);
        } else {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arguments_belong_to_their_process() {
        let answer = "process 7 12 1700000000\n etcd\n --name=a b\nprocess 8 13 1700000001\nend\n";
        let found = parse(answer).unwrap();
        assert_eq!(found[0].arguments, ["etcd", "--name=a b"]);
        let bare = Process { pid: 8, ticks: 13, started: 1_700_000_001, arguments: Vec::new() };
        assert_eq!(found[1], bare);
        for half in ["", "process 7 12 17\n", " x\nend\n", "process 7\nend\n"] {
            assert_eq!(parse(half), None, "{half:?}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_parsed_or_refused(answer in "\\PC{0,60}") {
            let _ = parse(&answer);
        }
    }
}
