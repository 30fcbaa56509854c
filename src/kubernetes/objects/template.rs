//! Add-on templates: text with the operator's and the release's values filled in, read as objects.

use serde::Serialize;
use serde_json::Value;

use crate::cluster::template::render;
use crate::kubernetes::error::ApiError;
use crate::kubernetes::object::Object;

/// An add-on template does not give objects. A fault of the template, not of the inventory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It does not render.
    #[error("add-on template {name}: {source}")]
    Render {
        /// The template.
        name: &'static str,
        /// Where and why.
        #[source]
        source: minijinja::Error,
    },
    /// What it renders is not YAML.
    #[error("add-on template {name} does not give YAML: {problem}")]
    Yaml {
        /// The template.
        name: &'static str,
        /// Where and why.
        problem: String,
    },
    /// A document is no object fleetadm writes.
    #[error("add-on template {name}: {source}")]
    Object {
        /// The template.
        name: &'static str,
        /// What is missing.
        #[source]
        source: ApiError,
    },
}

/// The objects of a template, in its order.
pub(super) fn objects(
    name: &'static str,
    template: &str,
    values: &impl Serialize,
) -> Result<Vec<Object>, TemplateError> {
    let text =
        render(name, template, values).map_err(|source| TemplateError::Render { name, source })?;
    serde_saphyr::from_multiple::<Value>(&text)
        .map_err(|error| TemplateError::Yaml { name, problem: error.to_string() })?
        .into_iter()
        .map(|body| {
            Object::from_body(body).map_err(|source| TemplateError::Object { name, source })
        })
        .collect()
}
