//! `[[files]]`: the operator's files, as they are or rendered with the host's facts and variables.

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::inventory::{FileSection, Host};
use crate::node::facts::Facts;
use crate::node::{FileBatch, NodeFile};
use crate::phases::{Context, Done, PhaseError};

/// Run the phase.
pub async fn run(context: Arc<Context>) -> Result<Done, PhaseError> {
    let batch = render(&context).await?;
    if batch.files.is_empty() {
        return Ok(Done::NotNeeded("the inventory has no [[files]] for the host".to_owned()));
    }
    context.install(&batch).await?;
    Ok(Done::Finished)
}

/// The files this host should have.
///
/// # Errors
/// A source is unreadable, or a template does not render.
pub async fn render(context: &Context) -> Result<FileBatch, PhaseError> {
    let mut batch = FileBatch::default();
    let sections = &context.run.inventory().files;
    for section in sections.iter().filter(|section| section.hosts.contains(&context.host().name)) {
        let name = section.source.display();
        let content = tokio::fs::read(&section.source)
            .await
            .map_err(|error| PhaseError::Local(format!("file {name}: {error}")))?;
        let file = if section.template {
            template(context, section, content).await?
        } else {
            file(section, section.dest.clone(), content)
        };
        batch.files.push(file);
    }
    Ok(batch)
}

async fn template(
    context: &Context,
    section: &FileSection,
    content: Vec<u8>,
) -> Result<NodeFile, PhaseError> {
    let name = section.source.display().to_string();
    let text = String::from_utf8(content)
        .map_err(|_| PhaseError::Local(format!("template {name} is not UTF-8 text")))?;
    let facts = context.facts().await?;
    let values = values(context, facts);
    let render = |what: &str, text: &str| {
        evaluate(text, &values).map_err(|error| {
            PhaseError::Local(format!("{what} {name} for {}: {error:#}", context.host().name))
        })
    };
    let path = render("dest of", &section.dest)?;
    Ok(file(section, path, render("template", &text)?.into_bytes()))
}

/// What only its owner may read on the host is not shown here either.
fn file(section: &FileSection, path: String, content: Vec<u8>) -> NodeFile {
    let secret = section.mode & 0o077 == 0;
    NodeFile { path, content: Zeroizing::new(content), mode: section.mode, secret }
}

/// Render one text. What is not defined is an error, not an empty string on a host.
fn evaluate(text: &str, values: &Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let syntax = SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(syntax);
    environment.render_str(text, Serde(values))
}

fn values(context: &Context, facts: &Facts) -> Value {
    let section = &context.run.cluster().section;
    let inventory = context.run.inventory();
    json!({
        "host": host(context.host()),
        "vars": context.host().vars,
        "facts": facts,
        "hosts": inventory.hosts.iter().map(|other| host(other)).collect::<Vec<_>>(),
        "cluster": {
            "name": section.name,
            "kubernetes_version": section.kubernetes_version.to_string(),
            "pod_subnet": section.networking.pod_subnet,
            "service_subnet": section.networking.service_subnet,
            "dns_domain": section.networking.dns_domain,
            "dns_ip": context.run.cluster().dns_ip,
            "control_plane_endpoint": context.run.cluster().control_plane_endpoint(),
        },
    })
}

fn host(host: &Host) -> Value {
    json!({
        "name": host.name,
        "address": host.address,
        "role": host.role.as_str(),
        "groups": host.groups,
        "labels": host.labels,
        "vars": host.vars,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::evaluate;

    #[test]
    fn templates_render_strictly() {
        let values = json!({"vars": {"port": 80}, "hosts": [{"name": "a"}, {"name": "b"}]});
        let text = "port={{ vars.port }}\n{% for h in hosts %}\n{{ h.name }}\n{% endfor %}\nend\n";
        assert_eq!(evaluate(text, &values).unwrap(), "port=80\na\nb\nend\n");
        let error = evaluate("{{ vars.prot }}", &values).unwrap_err();
        assert!(error.to_string().contains("undefined"), "{error}");
    }
}
