//! `fleetadm facts`: what there is to know about the selected hosts. Nothing is changed on them, and nothing kept.

mod catalogue;
mod columns;

use std::sync::Arc;

use crate::fleet::{Fleet, Step, StepError, Task};
use crate::inventory::Host;
use crate::node::facts::Facts;
use crate::node::{FactsRequest, NodeError};
use crate::report::{Event, aligned, csv};
use crate::ssh::SshError;

use super::args::{FactsArgs, FactsFormat, Global, OutputFormat};
use super::failure::Failure;
use super::session;
use columns::Column;

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Ssh(#[from] SshError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("facts cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl StepError for Refused {
    fn is_unreachable(&self) -> bool {
        match self {
            Self::Ssh(error) => error.could_not_reach() || error.is_lost(),
            Self::Node(error) => error.is_unreachable(),
            Self::Json(_) => false,
        }
    }
}

/// What is shown of hosts.
enum Shape {
    Table(Vec<Column>),
    Csv(Vec<Column>),
    Json,
}

/// What will be shown of one host. Facts are large and most of them are not asked for, so they are not kept until the end.
enum Shown {
    Cells(Vec<String>),
    Json(String),
}

pub fn run(global: &Global, args: FactsArgs) -> Result<u8, Failure> {
    if args.columns == ["help"] {
        return super::print(&columns::help());
    }
    let shape = Arc::new(Shape::new(&args, global.output)?);
    let selected = session::select(global)?;
    let (hosts, cluster) = (&selected.hosts, selected.inventory.cluster.as_ref());
    let request = Arc::new(FactsRequest {
        cri_socket: cluster.and_then(|cluster| cluster.cri_socket.clone()),
        paths: cluster.map(|cluster| cluster.etcd.data_dir.clone()).into_iter().collect(),
        ..FactsRequest::default()
    });
    session::contact(global, "facts", hosts, None, |reporter, cancel, connector| async move {
        let (pace, timeout) = (global.pace(), global.timeout);
        let step = Step { name: "facts", pace, timeout, cancel, reporter };
        let fleet = Arc::new(Fleet::new(connector, pace.parallel));
        let found = step.run(hosts, |task| {
            let (fleet, request, shape) = (fleet.clone(), request.clone(), shape.clone());
            async move {
                let result = gather(&fleet, &task, &request).await;
                fleet.disconnect(&task.host).await;
                Ok::<_, Refused>(shape.show(&task.host, &result?)?)
            }
        });
        let found: Vec<Option<Shown>> = found.await.into_iter().map(|found| found?.ok()).collect();
        for event in shape.events(hosts, found) {
            step.reporter.emit(event);
        }
        fleet.close().await;
        Ok(())
    })
}

async fn gather(fleet: &Arc<Fleet>, task: &Task, request: &FactsRequest) -> Result<Facts, Refused> {
    let node = session::onlooker(fleet, &task.host).await?;
    Ok(node.facts(request).await?)
}

impl Shape {
    fn new(args: &FactsArgs, output: OutputFormat) -> Result<Self, Failure> {
        let format = match (args.format, output) {
            (None | Some(FactsFormat::Json), OutputFormat::Json) => FactsFormat::Json,
            (Some(_), OutputFormat::Json) => {
                return Err(Failure::usage("--output json is for --format json only"));
            }
            (format, _) => format.unwrap_or(FactsFormat::Table),
        };
        if format == FactsFormat::Json && !args.columns.is_empty() {
            return Err(Failure::usage("--columns is for tables and CSV; JSON has everything"));
        }
        let chosen: Vec<&str> = match args.columns.as_slice() {
            [] => columns::DEFAULT.to_vec(),
            chosen => chosen.iter().map(|name| name.trim()).collect(),
        };
        let columns = chosen.into_iter().map(Column::find).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(|error| Failure::usage(format!("--columns: {error}")))?;
        Ok(match format {
            FactsFormat::Table => Self::Table(columns),
            FactsFormat::Csv => Self::Csv(columns),
            FactsFormat::Json => Self::Json,
        })
    }

    fn show(&self, host: &Host, facts: &Facts) -> Result<Shown, serde_json::Error> {
        Ok(match self {
            Self::Table(columns) | Self::Csv(columns) => {
                Shown::Cells(columns::cells(columns, host, facts))
            }
            Self::Json => Shown::Json(serde_json::to_string(facts)?),
        })
    }

    /// What to tell when all hosts are done.
    fn events(&self, hosts: &[Arc<Host>], found: Vec<Option<Shown>>) -> Vec<Event> {
        let (mut rows, mut events) = (Vec::new(), Vec::new());
        for (host, shown) in hosts.iter().zip(found) {
            match shown {
                Some(Shown::Cells(cells)) => rows.push(cells),
                Some(Shown::Json(facts)) => {
                    events.push(Event::Facts { host: host.name.clone(), facts });
                }
                None => {}
            }
        }
        match self {
            Self::Table(columns) if !rows.is_empty() => {
                let header: Vec<String> = columns.iter().map(Column::title).collect();
                for cell in rows.iter_mut().flatten().filter(|cell| cell.is_empty()) {
                    cell.push('-');
                }
                events.push(Event::Listing { text: aligned(&header, &rows) });
            }
            Self::Csv(columns) => {
                let header: Vec<String> =
                    columns.iter().map(|column| column.name.clone()).collect();
                events.push(Event::Data { text: csv(&header, &rows) });
            }
            Self::Table(_) | Self::Json => {}
        }
        events
    }
}
