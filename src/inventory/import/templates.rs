//! Templates in the variables that say how to reach a host: `{{ inventory_hostname }}.example.com`.
//!
//! Only those are rendered, because fleetadm has to know them; other variables are taken as they are.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

use super::ansible::Host;
use super::precedence::Effective;

/// Templates that give templates are rendered this often.
const ROUNDS: usize = 8;

/// Renders templates as far as they need nothing but the inventory's own variables.
pub(super) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        Self { environment }
    }

    /// The text that a template means for one host; `None` where it needs more than its variables.
    pub(super) fn render(
        &self,
        text: &str,
        host: &Host,
        effective: &Effective<'_>,
    ) -> Option<String> {
        let name = Value::from(host.name.as_str());
        let short = Value::from(host.name.split('.').next().unwrap_or_default());
        let variables = effective.variables.iter();
        let mut context: BTreeMap<&str, &Value> =
            variables.map(|(name, found)| (&**name, &found.variable.value)).collect();
        context.insert("inventory_hostname", &name);
        context.insert("inventory_hostname_short", &short);
        let mut text = text.to_owned();
        for _ in 0..ROUNDS {
            text = self.environment.render_str(&text, Serde(&context)).ok()?;
            if !is_template(&text) {
                return Some(text);
            }
        }
        None
    }
}

/// Whether Ansible would render a text.
pub(super) fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|sign| text.contains(sign))
}
