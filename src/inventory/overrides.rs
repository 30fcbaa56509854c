//! What the command line says about reaching hosts, above everything written.

use std::path::Path;
use std::sync::Arc;

use super::document::Ssh;
use super::error::{Fault, InventoryError, Mistakes, Problems, quoted};
use super::model::Inventory;
use super::paths::Paths;
use super::read::{self, Syntax};
use super::resolve::Tables;
use super::ssh::SshSettings;

/// What errors call the source.
const ORIGIN: &str = "--ssh";

impl Inventory {
    /// Lay keys of `[ssh]` over those of every host. Each is `KEY=VALUE`, with the value as in TOML; the quotes of a text
    /// may be left out. The last of a key counts, and relative paths start at the current directory.
    ///
    /// # Errors
    /// A key does not exist, or its value is wrong; the first such mistake.
    pub fn override_ssh(&mut self, assignments: &[String]) -> Result<(), InventoryError> {
        if assignments.is_empty() {
            return Ok(());
        }
        let paths = Paths::new(Path::new("."));
        let tables = Tables::of_command_line(&paths, self.jump_hosts.clone());
        let mut settings = SshSettings::default();
        for assignment in assignments {
            settings.add(&read(assignment, &tables)?);
        }
        let mut last: Option<(Arc<SshSettings>, Arc<SshSettings>)> = None;
        for host in &mut self.hosts {
            let shared = last.take().filter(|(written, _)| Arc::ptr_eq(written, &host.ssh));
            let (written, overridden) = shared.unwrap_or_else(|| {
                let mut overridden = Arc::clone(&host.ssh);
                Arc::make_mut(&mut overridden).add(&settings);
                (Arc::clone(&host.ssh), overridden)
            });
            Arc::make_mut(host).ssh = Arc::clone(&overridden);
            last = Some((written, overridden));
        }
        Ok(())
    }
}

fn read(assignment: &str, tables: &Tables<'_>) -> Result<SshSettings, InventoryError> {
    let bare =
        |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let parts = assignment.split_once('=').filter(|(key, _)| bare(key.trim()));
    // A second line would be a second assignment.
    let Some((key, value)) = parts.filter(|(_, value)| !value.contains(char::is_control)) else {
        let title = format!("{} is not an assignment", quoted(assignment));
        let fault = Fault::new(title, "expected KEY=VALUE, with a key of `[ssh]`");
        return Err(mistakes(assignment, vec![fault.at(0..assignment.len())]));
    };
    let (key, value) = (key.trim(), value.trim());
    let as_written = attempt(format!("{key} = {value}"), tables);
    // Nothing else can be meant by brackets and quotes.
    if value.starts_with(['[', '"', '\'']) {
        return as_written.map_err(|failed| failed.error);
    }
    as_written.or_else(|failed| {
        let quoted = attempt(format!("{key} = {}", toml::Value::from(value)), tables);
        quoted.map_err(|as_text| if failed.of_value { failed.error } else { as_text.error })
    })
}

/// Why a text is not an assignment.
struct Failed {
    error: InventoryError,
    /// The value is of the right type, and wrong.
    of_value: bool,
}

fn attempt(text: String, tables: &Tables<'_>) -> Result<SshSettings, Failed> {
    let mut problems = Problems::default();
    let raw: Option<Ssh> = read::read(&text, Syntax::Toml, &mut problems);
    let settings = raw.as_ref().map(|raw| tables.read("", raw, &mut problems));
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => {
            let error = mistakes(&text, problems.into_vec());
            Err(Failed { error, of_value: raw.is_some() })
        }
    }
}

fn mistakes(text: &str, problems: Vec<super::error::Problem>) -> InventoryError {
    InventoryError::Invalid(Box::new(Mistakes::new(ORIGIN, text, problems)))
}
